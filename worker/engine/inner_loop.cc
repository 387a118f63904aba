#include "worker/engine/inner_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace backfill::worker {
namespace {

constexpr double kOwnWeight = 0.4;        // of a second
constexpr double kUsualSeconds = 300;     // time constant
constexpr double kMostSeconds = 10;       // that one mean speaks for, after a time without any
constexpr double kAcceptedFactor = 1.1;   // K: one refusal in ten says nothing
constexpr double kMostByLatency = 0.999;  // what is still sent shows when it is over

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

std::int64_t SecondOf(Time now) {
  return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
}

}  // namespace

void InnerLoop::OnAnswer(std::uint32_t records, Duration latency, bool refused, Time now) {
  Tick(now);
  const std::int64_t second = SecondOf(now);
  Second& s = seconds_[static_cast<std::size_t>(second % kRefusalSeconds)];
  if (s.second != second) s = Second{.second = second};
  s.sent += records;
  if (!refused) s.accepted += records;
  // To refuse is quick and says nothing of how long the work takes; what took the whole timeout is
  // the latency that matters.
  if (refused && Seconds(latency) <= usual_.value_or(Seconds(latency))) return;
  latencies_ += std::max(0.0, Seconds(latency));
  ++answers_;
}

void InnerLoop::Tick(Time now) {
  if (ticked_ && now - *ticked_ < 1s) return;
  if (!folded_) folded_ = now;
  ticked_ = now;
  const bool enough = answers_ >= kEnough || (answers_ > 0 && now - *folded_ >= kLongEnough);
  if (enough) Fold(now);
  held_by_refusals_ = HeldByRefusals(now);
}

void InnerLoop::Fold(Time now) {
  const double mean = latencies_ / static_cast<double>(answers_);
  const double seconds = std::clamp(Seconds(now - *folded_), 1.0, kMostSeconds);
  own_ = own_ ? *own_ + (mean - *own_) * (1 - std::pow(1 - kOwnWeight, seconds)) : mean;
  if (learns_) LearnUsual(mean, seconds, now);
  folded_ = now;
  latencies_ = 0;
  answers_ = 0;
  held_by_latency_ = 0;
  if (!usual_ || headroom_ <= 0) return;
  const double bound = std::max(headroom_ * *usual_, *usual_ + Seconds(kSlack));
  if (*own_ <= bound) return;
  const double part = bound / *own_;
  held_by_latency_ = std::min(kMostByLatency, 1 - part * part);
}

void InnerLoop::LearnUsual(double mean, double seconds, Time now) {
  if (usual_) {
    *usual_ += (mean - *usual_) * (1 - std::exp(-seconds / kUsualSeconds));
    return;
  }
  if (!first_) first_ = *folded_;
  first_latencies_ += latencies_;
  first_answers_ += answers_;
  if (now - *first_ >= kWarmUp && first_answers_ >= kEnough)
    usual_ = first_latencies_ / static_cast<double>(first_answers_);
}

double InnerLoop::HeldByRefusals(Time now) const {
  double sent = 0;
  double accepted = 0;
  for (const Second& s : seconds_) {
    if (s.second <= SecondOf(now) - kRefusalSeconds) continue;
    sent += static_cast<double>(s.sent);
    accepted += static_cast<double>(s.accepted);
  }
  return std::clamp((sent - kAcceptedFactor * accepted) / (sent + 1), 0.0, kMostRefused);
}

}  // namespace backfill::worker
