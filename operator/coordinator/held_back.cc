#include "operator/coordinator/held_back.h"

#include <algorithm>
#include <cmath>

#include "backfill/v1/coordinator.pb.h"

namespace backfill::coordinator {
namespace {

constexpr double kLongest = 3600;  // seconds
// Less comes and goes, and is worth no word.
constexpr double kWorthTelling = 0.05;

double Within(double value, double most) {
  return std::isfinite(value) ? std::clamp(value, 0.0, most) : 0.0;
}

}  // namespace

HeldBack ToHeldBack(const v1::HeldBack& message) {
  return {.by_latency = Within(message.by_latency(), 1),
          .by_refusals = Within(message.by_refusals(), 1),
          .latency_seconds = Within(message.latency_seconds(), kLongest),
          .usual_seconds = Within(message.usual_latency_seconds(), kLongest)};
}

void AddTo(reconcile::HeldByWorkers& sum, const HeldBack& worker) {
  if (worker.by_refusals >= kWorthTelling) ++sum.refused;
  if (worker.by_latency < kWorthTelling) return;
  ++sum.slow;
  if (worker.usual_seconds > 0)
    sum.slowdown = std::max(sum.slowdown, worker.latency_seconds / worker.usual_seconds);
}

}  // namespace backfill::coordinator
