#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "base/clock.h"

namespace backfill::fakes {

// A service of limited capacity, as targets of backfills are: one server that does one thing after
// the other (M/M/1). What it does takes a random time, on average 1 / capacity; what comes
// meanwhile waits, and what would wait for more than two seconds is refused. Others use it, too:
// the foreground, which comes at random moments. So the nearer the sum of both is to the capacity,
// the longer all wait, and a little below it that is steep.
//
// Pure and not thread-safe; the time is an argument and never goes back. A request is counted when
// it comes, with the latency that it has if the capacity stays as it is.
class ModelService {
 public:
  struct Load {
    double capacity = 0;    // requests a second; 0: as many as come
    double foreground = 0;  // likewise; beyond kMostForeground it is that
    Duration latency{0};    // of an answer that waits for nothing, besides
  };
  static constexpr double kMostForeground = 10'000;

  explicit ModelService(const Load& load, std::uint64_t seed = 1) : load_(load), random_(seed) {}

  // A request that will be answered with that status: after how long. Nothing: it is refused.
  std::optional<Duration> Arrive(Time now, int status);

  [[nodiscard]] const Load& load() const { return load_; }
  void Set(const Load& load, Time now);

  // As on a /metrics, in Prometheus' text format: http_requests_total{code}, the histogram
  // http_request_duration_seconds, and service_queue_seconds, which is how long one who comes now
  // would wait, and service_latency_seconds, after how long he would have his answer.
  std::string Metrics(Time now);

 private:
  static constexpr std::array kBounds = {0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2,
                                         0.3,   0.4,  0.5,  0.75, 1.0,  1.5,   2.5, 5.0,  7.5};

  void Advance(Time now);  // lets the foreground come, and time pass
  void Work(Time until);
  std::optional<Duration> Take(int status);
  [[nodiscard]] double Wait() const { return load_.capacity > 0 ? queue_ / load_.capacity : 0; }

  Load load_;
  std::mt19937_64 random_;
  std::optional<Time> now_;
  Time next_foreground_{};
  double queue_ = 0;  // work that waits, in requests of average size

  std::uint64_t ok_ = 0, refused_by_client_error_ = 0, unavailable_ = 0;
  std::array<std::uint64_t, kBounds.size()> at_most_{};  // answered within a bound, not cumulative
  std::uint64_t answered_ = 0;
  double seconds_ = 0;
};

}  // namespace backfill::fakes
