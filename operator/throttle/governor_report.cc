#include "operator/throttle/governor_report.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "operator/throttle/critical_hold.h"
#include "operator/throttle/missing_metric.h"

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

constexpr Duration kQuiet = 5min;    // after the last cut the condition ends
constexpr double kSentEnough = 0.8;  // of the rate is sent: workers are not what limits it

bool Since(const Tick& tick, std::optional<Time> at, Duration within) {
  return at && tick.now - *at < within;
}

bool AtLimit(const Tick& tick) { return tick.memory.rate >= tick.limit * (1 - 1e-9); }

bool LimitIs(const Tick& tick, std::optional<double> bound) {
  return bound && Rate(*bound) <= tick.limit;
}

// The override is what keeps the rate down, or up.
bool OverrideActs(const Tick& tick) {
  return tick.inputs.pin || (LimitIs(tick, tick.inputs.cap) && AtLimit(tick));
}

// Holds are in force, unless people break the glass.
bool ObeysHolds(const Tick& tick) { return !(tick.inputs.pin && tick.inputs.pin->break_glass); }

GovernorState StateOf(const Tick& tick) {
  const GovernorMemory& memory = tick.memory;
  if (tick.inputs.paused) return GovernorState::kPaused;
  if (tick.inputs.blackout) return GovernorState::kBlackout;
  const bool obeys = ObeysHolds(tick);
  if (obeys && memory.hold_began)
    return tick.probing ? GovernorState::kProbing : GovernorState::kHeld;
  if (obeys && tick.metric_hold) return GovernorState::kHeld;
  if (tick.inputs.pin) return GovernorState::kOverridden;
  if (tick.probing) return GovernorState::kProbing;
  if (memory.yielding) return GovernorState::kYielding;
  if (Degraded(tick)) return GovernorState::kLanding;
  if (OverrideActs(tick)) return GovernorState::kOverridden;
  const bool raised_last =
      !memory.last_lowered || (memory.last_raise && *memory.last_raise > *memory.last_lowered);
  if (raised_last && Since(tick, memory.last_raise, 3 * tick.options.tick))
    return GovernorState::kRamping;
  if (Since(tick, memory.last_lowered, 2 * tick.dead_time)) return GovernorState::kLimited;
  return GovernorState::kSteady;
}

LimitedBy LimitedByOf(const Tick& tick, GovernorState state) {
  if (tick.inputs.paused) return LimitedBy::kPause;
  if (tick.inputs.blackout) return LimitedBy::kSchedule;
  const bool obeys = ObeysHolds(tick);
  if (obeys && tick.metric_hold) return LimitedBy::kMissingMetric;
  if (obeys && (state == GovernorState::kHeld || tick.memory.hold_began)) return LimitedBy::kHold;
  if (state == GovernorState::kOverridden) return LimitedBy::kOverride;
  if (tick.memory.yielding) return LimitedBy::kBudget;
  if (tick.memory.missing && Degraded(tick)) return LimitedBy::kMissingMetric;
  if (AtLimit(tick)) {
    if (LimitIs(tick, tick.inputs.window_limit)) return LimitedBy::kSchedule;
    return LimitedBy::kMax;
  }
  if (tick.inputs.inner_cut) return LimitedBy::kTargetLatency;
  if (tick.sent < kSentEnough * tick.memory.rate && !tick.inputs.records_wait)
    return LimitedBy::kWorkers;
  return LimitedBy::kBudget;
}

ThrottledReason ThrottledBy(const Tick& tick) {
  const GovernorMemory& memory = tick.memory;
  if (memory.hold_began) return ThrottledReason::kCriticalHold;
  if (LandsAlready(tick)) return ThrottledReason::kMetricUnavailable;
  if (memory.yielding) return ThrottledReason::kTargetOverloadedByOthers;
  if (Since(tick, memory.last_cut, kQuiet)) return ThrottledReason::kBudgetExceeded;
  return ThrottledReason::kNone;
}

// Events of what began or ended with this tick.
void TellChanges(Tick& tick, ThrottledReason throttled) {
  GovernorMemory& memory = tick.memory;
  if (tick.cut && !memory.throttled) tick.Tell(TransitionKind::kBudgetExceeded, memory.exceeded);
  if (LandsAlready(tick) && !memory.told_missing) {
    tick.Tell(TransitionKind::kMetricUnavailable, WhatIsMissing(tick));
    memory.told_missing = true;
  }
  const bool is_throttled = throttled != ThrottledReason::kNone;
  if (memory.throttled && !is_throttled)
    tick.Tell(TransitionKind::kThrottleReleased, "within budget");
  memory.throttled = is_throttled;
}

std::vector<BudgetView> ViewsOf(const Tick& tick) {
  std::vector<BudgetView> views;
  views.reserve(tick.readings.size());
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    const BudgetMemory& memory = tick.memory.budgets[i];
    views.push_back({.state = tick.readings[i].state,
                     .value = memory.value,
                     .pressure = memory.pressure,
                     .age = tick.readings[i].age,
                     .discarded = memory.discarded,
                     .from_the_future = memory.from_the_future,
                     .detail = tick.readings[i].detail});
  }
  return views;
}

// The next tick, or what comes before it.
Time NextOf(const Tick& tick) {
  const GovernorMemory& memory = tick.memory;
  Time next = tick.now + tick.options.tick;
  const auto at = [&](std::optional<Time> since, Duration wait) {
    if (since && *since + wait > tick.now) next = std::min(next, *since + wait);
  };
  at(memory.missing, tick.options.missing.after);
  at(memory.last_landing, tick.options.missing.land_every);
  at(memory.no_raise_until, Duration::zero());
  return next;
}

}  // namespace

Decision Report(Tick& tick, double rate) {
  const GovernorMemory& memory = tick.memory;
  Decision decision;
  decision.rate = rate;
  decision.governed = memory.rate;
  decision.limit = tick.limit;
  decision.state = StateOf(tick);
  decision.limited_by = LimitedByOf(tick, decision.state);
  decision.binding = tick.binding;
  decision.pressure = memory.pressure;
  decision.budgets = ViewsOf(tick);
  decision.throttled = ThrottledBy(tick);
  if (decision.throttled == ThrottledReason::kMetricUnavailable) {
    decision.message = WhatIsMissing(tick);
  } else if (decision.throttled != ThrottledReason::kNone) {
    decision.message = memory.exceeded;
  }
  if (MissingForLong(tick)) decision.stalled = StalledReason::kMetricUnavailable;
  decision.ask_for_pause = AsksForPause(tick) && !tick.inputs.paused;
  if (AsksForPause(tick)) decision.stalled = StalledReason::kRepeatedCriticalHolds;
  decision.holds = memory.holds;
  if (memory.hold_began) decision.held_for = tick.now - *memory.hold_began;
  decision.last_good = memory.good;
  decision.ceiling = memory.ceiling;
  decision.raised = tick.raised;
  decision.cut = tick.cut;
  decision.next = NextOf(tick);
  TellChanges(tick, decision.throttled);
  decision.transitions = std::move(tick.transitions);
  return decision;
}

}  // namespace backfill::throttle
