#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace backfill::worker {

using namespace std::chrono_literals;

// What a worker holds back of its grant by what it sees of the target itself, a second at a time,
// long before any metric shows it. It can only lower what is granted, and comes back by itself.
//
// By latency: own is the average of the last seconds (weight 0.4 for each), usual that of the last
// five minutes, begun with the mean of the first 30 s and learned only while no budget of the
// target is exceeded, or an overload would become what is usual. Sends min(1, headroom x usual /
// own)^2 of the grant. Less than kSlack above what is usual is not the target's but the machine's.
// By refusals: of the last 30 s, the share of the SRE book's adaptive throttling with K = 1.1:
// https://sre.google/sre-book/handling-overload/, at most 95 %.
//
// Pure: the time is an argument. Not thread-safe.
class InnerLoop {
 public:
  static constexpr double kHeadroom = 1.25;
  static constexpr Duration kSlack = 20ms;
  static constexpr Duration kWarmUp = 30s;
  static constexpr double kMostRefused = 0.95;

  // 0: latency is not looked at.
  void SetHeadroom(double headroom) { headroom_ = headroom; }
  // The largest pressure of the target's budgets, as of the last grant; over 1 it is over budget.
  void OnTargetPressure(double pressure) { learns_ = pressure <= 1; }

  // Records were answered, or given up after the target's timeout. `refused`: because there was too
  // much to do.
  void OnAnswer(std::uint32_t records, Duration latency, bool refused, Time now);

  // Call at least every second or so.
  void Tick(Time now);

  // 0: all of the grant is used; 1: nothing of it.
  [[nodiscard]] double held_by_latency() const { return held_by_latency_; }
  [[nodiscard]] double held_by_refusals() const { return held_by_refusals_; }
  [[nodiscard]] double share() const { return (1 - held_by_latency_) * (1 - held_by_refusals_); }
  // Seconds; 0: not known yet.
  [[nodiscard]] double own() const { return own_.value_or(0); }
  [[nodiscard]] double usual() const { return usual_.value_or(0); }

 private:
  static constexpr std::int64_t kRefusalSeconds = 30;
  // So many answers are needed to speak of a mean, or so much time.
  static constexpr std::uint64_t kEnough = 8;
  static constexpr Duration kLongEnough = 5s;
  struct Second {
    std::int64_t second = -1;
    std::uint64_t sent = 0, accepted = 0;
  };

  void Fold(Time now);
  void LearnUsual(double mean, double seconds, Time now);
  [[nodiscard]] double HeldByRefusals(Time now) const;

  double headroom_ = kHeadroom;
  bool learns_ = true;
  std::optional<double> own_, usual_;
  double held_by_latency_ = 0, held_by_refusals_ = 0;

  std::optional<Time> ticked_;  // the last whole second that was looked at
  std::optional<Time> folded_;
  double latencies_ = 0;  // of the answers since then, in seconds
  std::uint64_t answers_ = 0;

  std::optional<Time> first_;  // from which on the first mean is taken
  double first_latencies_ = 0;
  std::uint64_t first_answers_ = 0;

  std::array<Second, kRefusalSeconds> seconds_;
};

}  // namespace backfill::worker
