#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "operator/decision_log/decision_log.h"

// Inside of decision_log: the fields of each struct by name, once for writing and for reading.
// `a(name, field)` is called for each; a reader takes what is absent as unset.
namespace backfill::decision_log {

template <typename E>
struct Names;  // ::kAll: all values of an enum with their names

template <typename E, std::size_t N>
using NameArray = std::array<std::pair<E, std::string_view>, N>;

#define BACKFILL_NAMES(E, N, ...)                                   \
  template <>                                                       \
  struct Names<throttle::E> {                                       \
    using enum throttle::E;                                         \
    static constexpr NameArray<throttle::E, N> kAll{{__VA_ARGS__}}; \
  }

BACKFILL_NAMES(Direction, 2, {kMax, "max"}, {kMin, "min"});
BACKFILL_NAMES(Scope, 2, {kGlobal, "Global"}, {kPartition, "Partition"});
BACKFILL_NAMES(OnMissing, 4, {kHold, "Hold"}, {kFloor, "Floor"}, {kFreeze, "Freeze"},
               {kIgnore, "Ignore"});
BACKFILL_NAMES(OnNoTraffic, 3, {kMissing, "Missing"}, {kZero, "Zero"}, {kProbe, "Probe"});
BACKFILL_NAMES(Mode, 2, {kEnforce, "Enforce"}, {kObserve, "Observe"});
BACKFILL_NAMES(AtFloor, 2, {kYield, "Yield"}, {kKeep, "Keep"});
BACKFILL_NAMES(OnCritical, 2, {kHold, "Hold"}, {kPause, "Pause"});
BACKFILL_NAMES(Answer, 4, {kValue, "Value"}, {kNoData, "NoData"}, {kNotANumber, "NaN"},
               {kError, "Error"});
BACKFILL_NAMES(MetricState, 6, {kFresh, "Fresh"}, {kLate, "Late"}, {kStale, "Stale"},
               {kNoData, "NoData"}, {kNaN, "NaN"}, {kError, "Error"});
BACKFILL_NAMES(GovernorState, 10, {kRamping, "Ramping"}, {kSteady, "Steady"}, {kLimited, "Limited"},
               {kHeld, "Held"}, {kLanding, "Landing"}, {kProbing, "Probing"},
               {kYielding, "Yielding"}, {kBlackout, "Blackout"}, {kPaused, "Paused"},
               {kOverridden, "Overridden"});
BACKFILL_NAMES(LimitedBy, 10, {kMax, "Max"}, {kSchedule, "Schedule"}, {kOverride, "Override"},
               {kBudget, "Budget"}, {kHold, "Hold"}, {kMissingMetric, "MissingMetric"},
               {kTargetLatency, "TargetLatency"}, {kWorkers, "Workers"}, {kPause, "Pause"},
               {kGroup, "Group"});
BACKFILL_NAMES(ThrottledReason, 5, {kNone, ""}, {kBudgetExceeded, "BudgetExceeded"},
               {kCriticalHold, "CriticalHold"},
               {kTargetOverloadedByOthers, "TargetOverloadedByOthers"},
               {kMetricUnavailable, "MetricUnavailable"});
BACKFILL_NAMES(TransitionKind, 7, {kBudgetExceeded, "BudgetExceeded"},
               {kCriticalHold, "CriticalHold"}, {kMetricUnavailable, "MetricUnavailable"},
               {kThrottled, "Throttled"}, {kThrottleReleased, "ThrottleReleased"},
               {kRateOverridden, "RateOverridden"}, {kHotPartition, "HotPartition"});
BACKFILL_NAMES(StalledReason, 3, {kNone, ""}, {kMetricUnavailable, "MetricUnavailable"},
               {kRepeatedCriticalHolds, "RepeatedCriticalHolds"});
#undef BACKFILL_NAMES

template <typename A>
void Fields(A& a, throttle::Timing& x) {
  a("interval", x.interval), a("window", x.window), a("scrapeInterval", x.scrape_interval);
  a("delay", x.delay), a("staleAfter", x.stale_after);
}

template <typename A>
void Fields(A& a, throttle::Budget& x) {
  a("name", x.name), a("direction", x.direction), a("bound", x.bound), a("critical", x.critical);
  a("ideal", x.ideal), a("target", x.target), a("required", x.required), a("enforce", x.enforce);
  a("scope", x.scope), a("timing", x.timing), a("onMissing", x.on_missing);
  a("onNoTraffic", x.on_no_traffic);
}

template <typename A>
void Fields(A& a, throttle::HoldOptions& x) {
  a("onCritical", x.on_critical), a("confirmations", x.confirmations), a("duration", x.duration);
  a("maxDuration", x.max_duration), a("goodSamples", x.good_samples);
  a("resumeFactor", x.resume_factor), a("pauseAfter", x.pause_after);
}

template <typename A>
void Fields(A& a, throttle::MissingOptions& x) {
  a("landEvery", x.land_every), a("after", x.after);
}

template <typename A>
void Fields(A& a, throttle::GovernorOptions& x) {
  a("mode", x.mode), a("max", x.max_records_per_second), a("floor", x.floor);
  a("initial", x.initial), a("atFloor", x.at_floor), a("budgets", x.budgets), a("hold", x.hold);
  a("missing", x.missing), a("deadTime", x.dead_time), a("grantRefresh", x.grant_refresh);
  a("tick", x.tick);
}

template <typename A>
void Fields(A& a, throttle::History::Entry& x) {
  a("at", x.at), a("lasted", x.lasted), a("value", x.value), a("least", x.least);
}

template <typename A>
void Fields(A& a, throttle::BudgetMemory& x) {
  a("value", x.value), a("pressure", x.pressure), a("sampled", x.sampled), a("said", x.said);
  a("recent", x.recent), a("critical", x.critical_in_a_row), a("good", x.good_in_a_row);
  a("discarded", x.discarded), a("fromTheFuture", x.from_the_future), a("past", x.past);
}

template <typename A>
void Fields(A& a, throttle::GovernorMemory& x) {
  a("rate", x.rate), a("good", x.good), a("ceiling", x.ceiling);
  a("ceilingChanged", x.ceiling_changed), a("holds", x.holds), a("beforeHold", x.before_hold);
  a("holdBegan", x.hold_began), a("heldSince", x.held_since), a("lastCritical", x.last_critical);
  a("lastCut", x.last_cut), a("cutPressure", x.cut_pressure), a("pressure", x.pressure);
  a("lastRaise", x.last_raise), a("lastLowered", x.last_lowered);
  a("overloadedAtFloor", x.overloaded_at_floor), a("yielding", x.yielding);
  a("missing", x.missing), a("beforeMissing", x.before_missing), a("lastLanding", x.last_landing);
  a("noRaiseUntil", x.no_raise_until), a("started", x.started), a("stopped", x.stopped),
      a("pinned", x.pinned);
  a("capped", x.capped), a("throttled", x.throttled), a("exceeded", x.exceeded);
  a("toldMissing", x.told_missing), a("lastStep", x.last_step), a("sent", x.sent);
  a("reported", x.reported), a("budgets", x.budgets);
}

template <typename A>
void Fields(A& a, throttle::Observation& x) {
  a("answer", x.answer), a("value", x.value), a("time", x.time), a("detail", x.detail);
}

template <typename A>
void Fields(A& a, throttle::Pin& x) {
  a("rate", x.records_per_second), a("breakGlass", x.break_glass);
}

template <typename A>
void Fields(A& a, throttle::Inputs& x) {
  a("observations", x.observations), a("sent", x.sent), a("recordsWait", x.records_wait);
  a("innerCut", x.inner_cut), a("canary", x.canary), a("paused", x.paused);
  a("blackout", x.blackout), a("closesIn", x.closes_in), a("windowLimit", x.window_limit);
  a("cap", x.cap), a("pin", x.pin), a("reported", x.reported);
}

template <typename A>
void Fields(A& a, throttle::BudgetView& x) {
  a("state", x.state), a("value", x.value), a("pressure", x.pressure), a("age", x.age);
  a("discarded", x.discarded), a("fromTheFuture", x.from_the_future), a("detail", x.detail);
}

template <typename A>
void Fields(A& a, throttle::Transition& x) {
  a("kind", x.kind), a("message", x.message);
}

template <typename A>
void Fields(A& a, throttle::Decision& x) {
  a("rate", x.rate), a("governed", x.governed), a("limit", x.limit), a("state", x.state);
  a("limitedBy", x.limited_by), a("binding", x.binding), a("pressure", x.pressure);
  a("budgets", x.budgets), a("throttled", x.throttled), a("message", x.message);
  a("stalled", x.stalled), a("askForPause", x.ask_for_pause), a("holds", x.holds);
  a("heldFor", x.held_for), a("lastGood", x.last_good), a("ceiling", x.ceiling);
  a("raised", x.raised), a("cut", x.cut), a("next", x.next), a("transitions", x.transitions);
}

}  // namespace backfill::decision_log
