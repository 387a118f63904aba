#include "bench/throttle/target.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace backfill::throttle_bench {
namespace {

constexpr double kQueueSeconds = 5;  // of work, at most
constexpr double kKnee = (kBudget / kBaseMs - 1) / 0.5;
constexpr double kForegroundNoise = 0.02;
constexpr double kOwnWeight = 0.4;  // EWMA of what workers see

double P99(double rho, double queue_s) {
  const double u = std::clamp(rho, 0.0, 0.98);
  return kBaseMs * (1 + 0.5 * u / (1 - u)) + 1000 * queue_s;
}

double Metric(Shape shape, double latency, double rho, double queue_s) {
  switch (shape) {
    case Shape::kLatency:
      return latency;
    case Shape::kCliff: {
      const double errors = 0.0005 + std::min(0.5, std::max(0.0, queue_s - 0.3) * 0.2);
      return kBudget * errors / 0.01;
    }
    case Shape::kLinear:
      return kBudget * std::min(1.0, rho) / 0.80;
  }
  std::abort();
}

}  // namespace

Target::Second Target::Advance(int t, double sent) {
  const double foreground =
      part_.foreground * s_.foreground.At(t) * (1 + kForegroundNoise * normal_(random_));
  Second second;
  second.capacity = part_.capacity * s_.capacity.At(t);
  queue_ = std::clamp(queue_ + foreground + sent - second.capacity, 0.0,
                      kQueueSeconds * second.capacity);
  const double rho = (foreground + sent) / second.capacity;
  const double queue_s = queue_ / second.capacity;
  second.latency = P99(rho, queue_s);
  own_ = own_ * (1 - kOwnWeight) + second.latency * kOwnWeight;
  second.metric = Metric(s_.shape, second.latency, rho, queue_s);
  second.best = s_.BestUtilisation() * second.capacity - part_.foreground * s_.foreground.At(t);
  Observe(t, second.metric, sent);
  return second;
}

void Target::Observe(int t, double metric, double sent) {
  window_.push_back({.value = metric, .exists = !s_.nan_when_idle || sent >= 0.5});
  if (window_.size() > static_cast<std::size_t>(s_.window) + 1) window_.pop_front();
  const Seen seen = s_.SeenAt(t);
  if (t % s_.scrape == 0 && seen != Seen::kStale)
    samples_.push_back({.arrives = t + s_.delay,
                        .value = seen == Seen::kAll ? std::optional(SampleNow()) : std::nullopt,
                        .taken = t});
  while (!samples_.empty() && samples_.front().arrives <= t) {
    value_ = samples_.front().value;
    sampled_ = samples_.front().taken;
    samples_.pop_front();
  }
}

// Mean of the window with its noise.
double Target::SampleNow() {
  double sum = 0;
  int n = 0;
  for (const Point& point : window_) {
    if (!point.exists) continue;
    sum += point.value;
    ++n;
  }
  if (n == 0) return std::numeric_limits<double>::quiet_NaN();
  return sum / n * std::exp(s_.noise * normal_(random_));
}

double Scenario::BestUtilisation() const {
  switch (shape) {
    case Shape::kLatency:
      return kKnee / (1 + kKnee);
    case Shape::kCliff:
      return 0.97;
    case Shape::kLinear:
      return 0.80;
  }
  std::abort();
}

}  // namespace backfill::throttle_bench
