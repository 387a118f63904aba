#include "worker/engine/retry.h"

#include <algorithm>

namespace backfill::worker {

Duration Backoff::Wait(std::uint32_t failures) {
  Duration wait = base_;
  for (std::uint32_t i = 1; i < failures && wait < cap_; ++i) wait *= 2;
  wait = std::min(wait, cap_);
  return Duration(
      std::uniform_int_distribution<Duration::rep>(wait.count() / 2, wait.count())(random_));
}

RetryBudget::Second& RetryBudget::At(Time now) {
  const std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  Second& s = seconds_[static_cast<std::size_t>(second % kSeconds)];
  if (s.second != second) s = Second{.second = second};
  return s;
}

bool RetryBudget::Allows(std::uint32_t records, Time now) {
  if (in_flight_ < earned_) return true;
  const Second sum = Sum(kSeconds, now);
  return (sum.retries + records) * 100 <= sum.first * percent_;
}

RetryBudget::Second RetryBudget::Sum(std::int64_t seconds, Time now) {
  Second sum{.second = At(now).second};
  for (const Second& s : seconds_) {
    if (s.second <= sum.second - seconds) continue;
    sum.first += s.first;
    sum.retries += s.retries;
  }
  return sum;
}

void RetryBudget::OnRetryAnswered(Time now) {
  const Second recent = Sum(kRecent, now);
  if (recent.first <= recent.retries) earned_ = std::min(earned_ + 1, kMaxEarned);
}

void RetryBudget::OnRetryStarted(std::uint32_t records, Time now) {
  At(now).retries += records;
  ++in_flight_;
}

void HoldBack::OnRetryAfter(Duration wait, Time now) {
  asked_until_ =
      std::max(asked_until_, now + std::clamp(wait, Duration(0), Duration(kMaxRetryAfter)));
  until_ = std::max(until_, asked_until_);
}

void HoldBack::OnUnreachable(Time now, std::string_view why) {
  // Requests that were in flight together fail together: they are one piece of news.
  if (unreachable_ > 0 && now < until_) return;
  if (unreachable_ == 0) outage_began_ = now;
  ++unreachable_;
  why_ = why;
  until_ = std::max(until_, now + backoff_.Wait(unreachable_));
}

}  // namespace backfill::worker
