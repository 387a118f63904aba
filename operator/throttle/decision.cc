#include "operator/throttle/decision.h"

#include <cstdlib>

namespace backfill::throttle {

std::string_view ToString(MetricState state) {
  switch (state) {
    case MetricState::kFresh:
      return "Fresh";
    case MetricState::kLate:
      return "Late";
    case MetricState::kStale:
      return "Stale";
    case MetricState::kNoData:
      return "NoData";
    case MetricState::kNaN:
      return "NaN";
    case MetricState::kError:
      return "Error";
  }
  std::abort();
}

std::string_view ToString(GovernorState state) {
  switch (state) {
    case GovernorState::kRamping:
      return "Ramping";
    case GovernorState::kSteady:
      return "Steady";
    case GovernorState::kLimited:
      return "Limited";
    case GovernorState::kHeld:
      return "Held";
    case GovernorState::kLanding:
      return "Landing";
    case GovernorState::kProbing:
      return "Probing";
    case GovernorState::kYielding:
      return "Yielding";
    case GovernorState::kBlackout:
      return "Blackout";
    case GovernorState::kPaused:
      return "Paused";
    case GovernorState::kOverridden:
      return "Overridden";
  }
  std::abort();
}

std::string_view ToString(LimitedBy limited_by) {
  switch (limited_by) {
    case LimitedBy::kMax:
      return "Max";
    case LimitedBy::kSchedule:
      return "Schedule";
    case LimitedBy::kOverride:
      return "Override";
    case LimitedBy::kBudget:
      return "Budget";
    case LimitedBy::kHold:
      return "Hold";
    case LimitedBy::kMissingMetric:
      return "MissingMetric";
    case LimitedBy::kTargetLatency:
      return "TargetLatency";
    case LimitedBy::kWorkers:
      return "Workers";
    case LimitedBy::kPause:
      return "Pause";
    case LimitedBy::kGroup:
      return "Group";
  }
  std::abort();
}

std::string_view ToString(ThrottledReason reason) {
  switch (reason) {
    case ThrottledReason::kNone:
      return "";
    case ThrottledReason::kBudgetExceeded:
      return "BudgetExceeded";
    case ThrottledReason::kCriticalHold:
      return "CriticalHold";
    case ThrottledReason::kTargetOverloadedByOthers:
      return "TargetOverloadedByOthers";
    case ThrottledReason::kMetricUnavailable:
      return "MetricUnavailable";
  }
  std::abort();
}

std::string_view ToString(TransitionKind kind) {
  switch (kind) {
    case TransitionKind::kBudgetExceeded:
      return "BudgetExceeded";
    case TransitionKind::kCriticalHold:
      return "CriticalHold";
    case TransitionKind::kMetricUnavailable:
      return "MetricUnavailable";
    case TransitionKind::kThrottled:
      return "Throttled";
    case TransitionKind::kThrottleReleased:
      return "ThrottleReleased";
    case TransitionKind::kRateOverridden:
      return "RateOverridden";
    case TransitionKind::kHotPartition:
      return "HotPartition";
  }
  std::abort();
}

std::string_view ToString(StalledReason reason) {
  switch (reason) {
    case StalledReason::kNone:
      return "";
    case StalledReason::kMetricUnavailable:
      return "MetricUnavailable";
    case StalledReason::kRepeatedCriticalHolds:
      return "RepeatedCriticalHolds";
  }
  std::abort();
}

}  // namespace backfill::throttle
