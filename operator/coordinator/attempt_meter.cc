#include "operator/coordinator/attempt_meter.h"

#include <algorithm>

namespace backfill::coordinator {

void AttemptMeter::Add(std::uint64_t attempts, std::uint64_t retries, Time now) {
  if (started_ == Time{}) started_ = now;
  while (!steps_.empty() && now - steps_.front().begin > kSpan) steps_.pop_front();
  if (steps_.empty() || now - steps_.back().begin >= kStep) steps_.push_back({now});
  steps_.back().attempts += attempts;
  steps_.back().retries += retries;
}

AttemptMeter::Step AttemptMeter::Sum(Time now) const {
  Step sum{};
  for (const Step& step : steps_) {
    if (now - step.begin > kSpan) continue;
    sum.attempts += step.attempts;
    sum.retries += step.retries;
  }
  return sum;
}

double AttemptMeter::PerSecond(Time now) const {
  if (started_ == Time{}) return 0;
  // A stage that is younger than the span is measured over its age, but one report is no rate.
  const Duration age = std::clamp<Duration>(now - started_, std::chrono::seconds(1), kSpan);
  return static_cast<double>(Sum(now).attempts) / std::chrono::duration<double>(age).count();
}

double AttemptMeter::RetryPercent(Time now) const {
  const Step sum = Sum(now);
  const std::uint64_t first = sum.attempts - std::min(sum.attempts, sum.retries);
  if (first == 0) return sum.retries == 0 ? 0 : 100;
  return 100 * static_cast<double>(sum.retries) / static_cast<double>(first);
}

}  // namespace backfill::coordinator
