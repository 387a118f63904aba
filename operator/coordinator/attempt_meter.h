#pragma once

#include <cstdint>
#include <deque>

#include "base/clock.h"

namespace backfill::coordinator {

// How many records per second were sent, retries included, over the last 5 s. Workers report
// totals; whoever owns the meter feeds it the differences. Not thread-safe; the time is an argument
// and never goes back.
class AttemptMeter {
 public:
  static constexpr Duration kSpan = std::chrono::seconds(5);
  static constexpr Duration kStep = std::chrono::milliseconds(250);

  void Add(std::uint64_t attempts, std::uint64_t retries, Time now);

  [[nodiscard]] double PerSecond(Time now) const;
  // Retries per 100 first attempts in the span.
  [[nodiscard]] double RetryPercent(Time now) const;

 private:
  struct Step {
    Time begin;
    std::uint64_t attempts = 0;
    std::uint64_t retries = 0;
  };
  [[nodiscard]] Step Sum(Time now) const;

  std::deque<Step> steps_;  // at most kSpan / kStep + 1
  Time started_{};
};

}  // namespace backfill::coordinator
