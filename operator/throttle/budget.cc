#include "operator/throttle/budget.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace backfill::throttle {
namespace {

constexpr double kDefaultCritical = 2;  // as a pressure
// Beyond this more or less pressure makes no difference, and sums stay finite.
constexpr double kMaxPressure = 1e6;
constexpr double kLeastTarget = 0.50;
constexpr double kMostTarget = 0.97;
constexpr Duration kLongest = std::chrono::hours(24);

double IdealOf(const Budget& budget) {
  return budget.ideal.value_or(budget.direction == Direction::kMax ? 0.0 : 1.0);
}

bool Within(Duration d, Duration least, Duration most) { return d >= least && d <= most; }

std::string ValidateTiming(const Timing& timing) {
  if (!Within(timing.interval, 250ms, kLongest)) return "timing.interval must be 250ms to 24h";
  if (!Within(timing.window, 0s, kLongest)) return "timing.window must be 0s to 24h";
  if (!Within(timing.scrape_interval, 0s, kLongest))
    return "timing.scrapeInterval must be 0s to 24h";
  if (!Within(timing.delay, 0s, kLongest)) return "timing.delay must be 0s to 24h";
  if (timing.stale_after && !Within(*timing.stale_after, 1s, kLongest))
    return "timing.staleAfter must be 1s to 24h";
  return "";
}

}  // namespace

std::string Budget::Validate() const {
  if (name.empty()) return "a budget needs a name";
  if (!std::isfinite(bound) || bound < 0) return "the bound must be a number of at least 0";
  const double from = IdealOf(*this);
  if (!std::isfinite(from) || from < 0) return "ideal must be a number of at least 0";
  const bool max = direction == Direction::kMax;
  if (max && bound <= from) return "max must be more than ideal";
  if (!max && bound >= from) return "min must be less than ideal";
  if (critical) {
    if (!std::isfinite(*critical)) return "critical must be a number";
    if (max && *critical <= bound) return "critical must be more than max";
    if (!max && *critical >= bound) return "critical must be less than min";
  }
  if (!(target >= kLeastTarget && target <= kMostTarget)) return "target must be 0.50 to 0.97";
  return ValidateTiming(timing);
}

double Pressure(const Budget& budget, double value) {
  const double from = IdealOf(budget);
  const double pressure = (value - from) / (budget.bound - from);
  if (std::isnan(pressure)) return pressure;
  return std::clamp(pressure, -kMaxPressure, kMaxPressure);
}

double CriticalPressure(const Budget& budget) {
  return budget.critical ? Pressure(budget, *budget.critical) : kDefaultCritical;
}

double Deadband(const Budget& budget) { return std::min(0.05, 0.4 * (1 - budget.target)); }

Duration StaleAfter(const Timing& timing) {
  return timing.stale_after.value_or(std::max<Duration>(3 * timing.scrape_interval, 60s));
}

Duration Lag(const Timing& timing) { return timing.window + timing.scrape_interval + timing.delay; }

std::string_view ToString(Direction direction) {
  switch (direction) {
    case Direction::kMax:
      return "max";
    case Direction::kMin:
      return "min";
  }
  std::abort();
}

std::string_view ToString(Scope scope) {
  switch (scope) {
    case Scope::kGlobal:
      return "Global";
    case Scope::kPartition:
      return "Partition";
  }
  std::abort();
}

std::string_view ToString(OnMissing on_missing) {
  switch (on_missing) {
    case OnMissing::kHold:
      return "Hold";
    case OnMissing::kFloor:
      return "Floor";
    case OnMissing::kFreeze:
      return "Freeze";
    case OnMissing::kIgnore:
      return "Ignore";
  }
  std::abort();
}

std::string_view ToString(OnNoTraffic on_no_traffic) {
  switch (on_no_traffic) {
    case OnNoTraffic::kMissing:
      return "Missing";
    case OnNoTraffic::kZero:
      return "Zero";
    case OnNoTraffic::kProbe:
      return "Probe";
  }
  std::abort();
}

}  // namespace backfill::throttle
