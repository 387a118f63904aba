#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/observe/query.h"
#include "operator/observe/source.h"

namespace backfill::observe {

// Bucket i: attempts that took less than 0.5 ms x 2^i; the last one takes the rest (the protocol's
// LatencyBuckets).
inline constexpr std::size_t kLatencyBuckets = 16;

// What a worker says since its process began.
struct WorkerTotals {
  std::uint64_t attempts = 0;  // records sent, retries included
  std::uint64_t retries = 0;
  std::array<std::uint64_t, kLatencyBuckets> latency{};
};

// What the workers of one backfill measure, over a window: for targets without a provider of
// metrics. Latency is in seconds, as on the worker's side of the
// connection. An attempt failed if it was followed by a retry, or if its record failed for good.
//
// Workers report totals; what counts is how they grow, so a worker's first report counts nothing,
// and totals that fall are those of another process. Steps of a second are kept for five minutes.
//
// Thread-safe; never blocks on I/O. `now` never goes back.
class WorkerSignals {
 public:
  static constexpr Duration kStep = std::chrono::seconds(1);
  static constexpr Duration kSpan = std::chrono::minutes(5);
  static constexpr std::size_t kMaxWorkers = 4096;  // more are not listened to

  // `worker`: the process; an instance that is started again has another name.
  void Report(const std::string& worker, const WorkerTotals& totals, Time now);
  // Records of the stage that failed for good, all workers together. Falls with another stage.
  void ReportFailed(std::uint64_t records, Time now);
  void Forget(const std::string& worker);

  // A value is as old as the last report. Without an attempt in the window there is none:
  // kNotANumber, and kNoData while nobody has reported.
  [[nodiscard]] Reply Read(WorkerSignal signal, Duration window, Time now) const;

 private:
  struct Step {
    Time begin;
    std::uint64_t attempts = 0, retries = 0, failed = 0;
    std::array<std::uint64_t, kLatencyBuckets> latency{};
  };
  Step& Current(Time now) REQUIRES(mu_);

  mutable Mutex mu_;
  std::map<std::string, WorkerTotals> workers_ GUARDED_BY(mu_);
  std::optional<std::uint64_t> failed_ GUARDED_BY(mu_);
  std::deque<Step> steps_ GUARDED_BY(mu_);
  std::optional<Time> heard_ GUARDED_BY(mu_);
};

// The signals of all backfills, by owner. Thread-safe. Whoever has one may keep it.
class SignalBoard {
 public:
  // Makes them if there are none.
  std::shared_ptr<WorkerSignals> Of(const std::string& owner);
  // Null: there are none.
  [[nodiscard]] std::shared_ptr<const WorkerSignals> Find(const std::string& owner) const;
  void Drop(const std::string& owner);

 private:
  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<WorkerSignals>> signals_ GUARDED_BY(mu_);
};

class WorkersSource final : public Source {
 public:
  // The references must outlive it.
  WorkersSource(WorkersQuery query, const SignalBoard& board, const Clock& clock);

  Reply Ask(Time deadline, const std::stop_token& stop) override;

 private:
  const WorkersQuery query_;
  const SignalBoard& board_;
  const Clock& clock_;
};

}  // namespace backfill::observe
