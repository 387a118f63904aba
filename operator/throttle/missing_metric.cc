#include "operator/throttle/missing_metric.h"

#include <algorithm>
#include <cstdlib>

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFreezeFor = 30s;  // nothing but no raise; also a gap that changes nothing
constexpr Duration kForAPerson = 30min;
constexpr double kLanding = 0.5;
constexpr double kTrusted = 0.7;  // of the rate before the gap

// In the order of precedence.
enum class Action { kHold, kFloor, kProbe, kFreeze, kIgnore };

Action ActionOf(const Tick& tick, std::size_t budget) {
  const Budget& b = tick.options.budgets[budget];
  if (tick.readings[budget].no_traffic && b.on_no_traffic == OnNoTraffic::kProbe)
    return Action::kProbe;
  switch (b.on_missing) {
    case OnMissing::kHold:
      return Action::kHold;
    case OnMissing::kFloor:
      return Action::kFloor;
    case OnMissing::kFreeze:
      return Action::kFreeze;
    case OnMissing::kIgnore:
      return Action::kIgnore;
  }
  std::abort();
}

bool AnyMissing(const Tick& tick) {
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (tick.Missing(i)) return true;
  }
  return false;
}

bool AnotherIsFresh(const Tick& tick) {
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    const Budget& b = tick.options.budgets[i];
    if (b.enforce && b.required && tick.readings[i].state == MetricState::kFresh) return true;
  }
  return false;
}

// The strictest of what is missing.
Action Strictest(const Tick& tick) {
  Action strictest = Action::kIgnore;
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (tick.Missing(i)) strictest = std::min(strictest, ActionOf(tick, i));
  }
  if (strictest == Action::kIgnore && !AnotherIsFresh(tick)) return Action::kHold;
  return strictest;
}

bool OnlyFreezes(const Tick& tick) {
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (tick.Missing(i) && ActionOf(tick, i) != Action::kFreeze) return false;
  }
  return true;
}

Duration Gap(const Tick& tick) { return tick.now - tick.memory.missing.value_or(tick.now); }

bool Decided(const Tick& tick) { return Gap(tick) >= tick.options.missing.after; }

// Windows are under-filled after an outage, and the world may have changed.
void ComeBack(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  const double before = memory.before_missing;
  if (before > tick.floor) {
    const double trusted = kTrusted * before;
    memory.good = std::min(memory.good.value_or(trusted), trusted);
  }
  Duration wait = tick.dead_time;
  for (const Budget& budget : tick.options.budgets) {
    if (budget.enforce) wait = std::max(wait, budget.timing.window);
  }
  memory.no_raise_until = tick.now + wait;
  tick.may_raise = false;
  if (!memory.hold_began && !memory.yielding) memory.rate = std::max(memory.rate, tick.floor);
}

}  // namespace

void WatchForMissing(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  if (AnyMissing(tick)) {
    if (memory.missing) return;
    memory.missing = tick.now;
    memory.last_landing = tick.now;
    memory.before_missing = memory.rate;
    return;
  }
  if (!memory.missing) return;
  if (Gap(tick) >= kFreezeFor) ComeBack(tick);
  memory.missing.reset();
  memory.last_landing.reset();
  memory.told_missing = false;
}

bool Degraded(const Tick& tick) {
  return tick.memory.missing && !(Decided(tick) && Strictest(tick) == Action::kIgnore);
}

void Land(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  if (!Decided(tick)) {
    const Duration every = tick.options.missing.land_every;
    const Duration since = tick.now - memory.last_landing.value_or(tick.now);
    if (OnlyFreezes(tick) || Gap(tick) < kFreezeFor || since < every) return;
    memory.rate = std::max(tick.floor, memory.rate * kLanding);
    memory.last_landing = tick.now;
    return;
  }
  switch (Strictest(tick)) {
    case Action::kHold:
      tick.metric_hold = true;
      memory.rate = 0;
      return;
    case Action::kFloor:
      memory.rate = tick.floor;
      return;
    case Action::kProbe:
      tick.probing = true;
      memory.rate = std::min(ProbeRate(tick.options), tick.limit);
      return;
    case Action::kFreeze:
    case Action::kIgnore:
      return;
  }
}

bool MayProbe(const Tick& tick) {
  bool missing = false;
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (!tick.Missing(i)) continue;
    const Action action = ActionOf(tick, i);
    if (action != Action::kProbe && action != Action::kFloor) return false;
    missing = true;
  }
  return missing;
}

bool MissingForLong(const Tick& tick) { return tick.memory.missing && Gap(tick) >= kForAPerson; }

bool LandsAlready(const Tick& tick) { return tick.memory.missing && Gap(tick) >= kFreezeFor; }

std::string WhatIsMissing(const Tick& tick) {
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (!tick.Missing(i)) continue;
    std::string text = tick.options.budgets[i].name + ": ";
    text += ToString(tick.readings[i].state);
    if (!tick.readings[i].detail.empty()) text += ": " + tick.readings[i].detail;
    return text;
  }
  return "";
}

}  // namespace backfill::throttle
