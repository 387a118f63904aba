#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

// What a governor says of one tick: the rate, and all that people want to know of it.
namespace backfill::throttle {

// In what shape the metric of a budget is.
enum class MetricState {
  kFresh,
  kLate,   // usable, but not for raising the rate
  kStale,  // this one and the following are unusable
  kNoData,
  kNaN,
  kError,
};

enum class GovernorState {
  kRamping,     // raised within the last three ticks
  kSteady,      // nothing to do, or at the limit
  kLimited,     // lowered by a budget, within two dead times
  kHeld,        // 0: critical, or without a metric for too long
  kLanding,     // a required metric is missing: going down
  kProbing,     // sends a few to see whether a metric comes back
  kYielding,    // 0: others alone are over the budget
  kBlackout,    // 0: outside of the schedule
  kPaused,      // 0: people said so
  kOverridden,  // people set the rate
};

// What keeps the rate from being higher.
enum class LimitedBy {
  kMax,
  kSchedule,
  kOverride,
  kBudget,
  kHold,
  kMissingMetric,
  kTargetLatency,  // workers slow down by themselves
  kWorkers,        // they cannot send more
  kPause,
  kGroup,  // others of its group have the rest
};

// Reasons of the condition Throttled.
enum class ThrottledReason {
  kNone,  // it is False
  kBudgetExceeded,
  kCriticalHold,
  kTargetOverloadedByOthers,
  kMetricUnavailable,
};

// Events, once each when it begins.
enum class TransitionKind {
  kBudgetExceeded,
  kCriticalHold,
  kMetricUnavailable,
  kThrottled,  // yields to others
  kThrottleReleased,
  kRateOverridden,
  kHotPartition,
};

// For a person to look at, while the governor goes on by itself or waits for `backfill resume`.
enum class StalledReason {
  kNone,
  kMetricUnavailable,      // for half an hour
  kRepeatedCriticalHolds,  // asks to be paused
};

struct BudgetView {  // in the order of the budgets
  MetricState state = MetricState::kError;
  std::optional<double> value = std::nullopt;  // the last plausible one
  std::optional<double> pressure =
      std::nullopt;  // of that value, or 0 for no traffic under OnNoTraffic::kZero
  std::optional<Duration> age = std::nullopt;  // of that value
  std::uint64_t discarded = 0;                 // implausible samples, since the start
  std::uint64_t from_the_future = 0;           // taken as of now, since the start
  std::string detail = {};  // what the source said, or what is wrong with its value

  bool operator==(const BudgetView&) const = default;
};

struct Transition {
  TransitionKind kind = TransitionKind::kThrottleReleased;
  std::string message = {};

  bool operator==(const Transition&) const = default;
};

struct Decision {
  double rate = 0;  // records/s to grant from now on
  double governed =
      0;             // R: what the budgets allow; differs from `rate` under Mode::kObserve or a pin
  double limit = 0;  // highest rate in force
  GovernorState state = GovernorState::kSteady;
  LimitedBy limited_by = LimitedBy::kMax;
  std::optional<std::size_t> binding =
      std::nullopt;  // the budget with the highest pressure of those that act
  // Its pressure; while no metric is usable, the last one known. Workers learn what latency is
  // usual while it is at most 1.
  double pressure = 0;
  std::vector<BudgetView> budgets = {};

  ThrottledReason throttled = ThrottledReason::kNone;
  std::string message = {};  // of that condition: "p99 0.31 over 0.25"
  StalledReason stalled = StalledReason::kNone;
  // The operator should pause the backfill: StalledReason::kRepeatedCriticalHolds, or what
  // hold.onCritical says.
  bool ask_for_pause = false;

  int holds = 0;                                    // in a row
  std::optional<Duration> held_for = std::nullopt;  // so long already
  std::optional<double> last_good = std::nullopt;   // G
  std::optional<double> ceiling = std::nullopt;     // C
  bool raised = false;
  bool cut = false;
  Time next{};  // Step() wants to be called again no later than this
  std::vector<Transition> transitions = {};

  bool operator==(const Decision&) const = default;
};

std::string_view ToString(MetricState state);       // Fresh, Late, Stale, NoData, NaN, Error
std::string_view ToString(GovernorState state);     // Ramping, ...
std::string_view ToString(LimitedBy limited_by);    // Max, ...
std::string_view ToString(ThrottledReason reason);  // "", BudgetExceeded, ...
std::string_view ToString(TransitionKind kind);     // BudgetExceeded, ...
std::string_view ToString(StalledReason reason);    // "", MetricUnavailable, ...

}  // namespace backfill::throttle
