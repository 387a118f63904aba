#include "operator/throttle/steering.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "operator/throttle/missing_metric.h"

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

// Gains are per dead time. Why these: README.md.
constexpr double kCutGain = 1.5;
constexpr double kDeepestCut = 0.5;
constexpr double kShallowestCut = 0.9;
constexpr double kWorse = 1.15;      // than at the last cut: cuts again within a dead time
constexpr double kReturnGain = 1.5;  // between target and bound
constexpr double kRaiseGain = 0.5;
constexpr double kRaiseSlope = 1.5;
constexpr double kRecallGain = 2.5;               // at least, below a rate that was good
constexpr double kRecallBelow = 0.8;              // of that rate
constexpr double kUsed = 0.8;                     // of the rate is sent: more would be, too
constexpr double kLeastRaise = 1;                 // records/s: lifts the rate from 0
constexpr double kMostRaise = std::numbers::ln2;  // x2
constexpr double kComfortable = 0.6;  // of the target: from there to over in a dead time is a cliff
constexpr double kNearCeiling = 0.9;
constexpr double kCreep = 0.02;
constexpr double kCeilingGrowth = 1.1;
constexpr double kLeastCeiling = 1;  // records/s: nothing grows from 0
constexpr Duration kCeilingAge = 180s;
constexpr double kGoodSeconds = 600;  // time constant of the memory of good rates
constexpr Duration kProbeYieldAfter = 60s;

bool IsAtFloor(const Tick& tick) { return tick.memory.rate <= tick.floor * (1 + 1e-9); }

// Least of `error` over budgets that act; nullopt: there is none.
template <typename Error>
std::optional<double> Least(const Tick& tick, Error error) {
  std::optional<double> least;
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (!tick.Acts(i)) continue;
    const double e = error(tick.options.budgets[i], tick.readings[i]);
    if (!least || e < *least) least = e;
  }
  return least;
}

// From comfortable to over budget within one dead time.
bool IsCliff(const Tick& tick) {
  const Time two_ticks_ago = std::min(tick.last.value_or(tick.now), tick.now - tick.options.tick);
  const auto least = tick.memory.budgets[*tick.binding].past.LeastBefore(two_ticks_ago);
  return least && *least < kComfortable * tick.options.budgets[*tick.binding].target;
}

void Cut(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  const double used = std::max(tick.mean_sent, tick.sent);
  const double base = std::max(tick.floor, std::min(memory.rate, used));
  if (IsCliff(tick)) {
    const double ceiling = std::max(base, kLeastCeiling);
    memory.ceiling = std::min(memory.ceiling.value_or(ceiling), ceiling);
  }
  memory.ceiling_changed = tick.now;
  const double factor = std::clamp(1 - kCutGain * (tick.pressure - 1), kDeepestCut, kShallowestCut);
  memory.rate = std::max(tick.floor, base * factor);
  memory.last_cut = tick.now;
  memory.last_lowered = tick.now;
  memory.cut_pressure = tick.pressure;
  memory.exceeded = Exceeded(tick.options.budgets[*tick.binding], memory.budgets[*tick.binding]);
  tick.cut = true;
}

bool ShouldCut(const Tick& tick) {
  const GovernorMemory& memory = tick.memory;
  if (!memory.last_cut || tick.now - *memory.last_cut >= tick.dead_time) return true;
  return tick.readings[*tick.binding].fresh_sample && tick.pressure >= kWorse * memory.cut_pressure;
}

// Step 5. True: some budget is above its target, and the rate went down.
bool Return(Tick& tick) {
  double error = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (!tick.Acts(i)) continue;
    const Budget& budget = tick.options.budgets[i];
    const double e = budget.target - tick.readings[i].pressure;
    if (e < -Deadband(budget)) error = std::min(error, e);
  }
  if (error >= 0) return false;
  GovernorMemory& memory = tick.memory;
  memory.rate = std::max(tick.floor, memory.rate * std::exp(kReturnGain * error * tick.share));
  memory.last_lowered = tick.now;
  return true;
}

double RaiseStep(const GovernorMemory& memory, double error) {
  double gain = kRaiseGain + kRaiseSlope * error;
  if (memory.good && memory.rate < kRecallBelow * *memory.good) gain = std::max(gain, kRecallGain);
  return std::min(kMostRaise, gain * error);
}

// Steps 6 and 7.
void Raise(Tick& tick) {
  const auto room = Least(tick, [](const Budget& budget, const BudgetReading& reading) {
    return budget.target - reading.worst - Deadband(budget);
  });
  if (!room || *room <= 0 || !tick.may_raise) return;
  GovernorMemory& memory = tick.memory;
  const bool used = tick.sent >= kUsed * memory.rate;
  if (!used && !(tick.inputs.records_wait && !tick.inputs.inner_cut)) return;
  const double error = *Least(tick, [](const Budget& budget, const BudgetReading& reading) {
    return budget.target - reading.worst;
  });
  double rate = std::max(memory.rate * std::exp(RaiseStep(memory, error) * tick.share),
                         memory.rate + kLeastRaise * tick.share);
  if (memory.ceiling && rate > kNearCeiling * *memory.ceiling) {
    const double creep = memory.rate * std::exp(kCreep * tick.share);
    rate = std::max(std::min(rate, kNearCeiling * *memory.ceiling), std::min(rate, creep));
  }
  rate = std::min(rate, tick.limit);
  if (rate <= memory.rate) return;
  memory.rate = rate;
  memory.last_raise = tick.now;
  tick.raised = true;
}

// Step 9: by the budget that is nearest to its target.
void RememberGood(Tick& tick) {
  std::optional<std::size_t> nearest;
  double most = 0;
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (!tick.Acts(i)) continue;
    const double share = tick.readings[i].pressure / tick.options.budgets[i].target;
    if (!nearest || share > most) {
      nearest = i;
      most = share;
    }
  }
  if (!nearest || most < 0.5 || tick.readings[*nearest].pressure > 1) return;
  GovernorMemory& memory = tick.memory;
  if (memory.rate <= 2 * tick.floor) return;
  const double good = memory.good.value_or(memory.rate);
  const double passed = std::chrono::duration<double>(tick.passed).count();
  memory.good = good + (memory.rate - good) * passed / kGoodSeconds;
}

// Pcut: a new excess is judged by itself.
void ForgetCutPressure(Tick& tick) {
  const auto least = Least(tick, [](const Budget& budget, const BudgetReading& reading) {
    return budget.target - reading.pressure;
  });
  if (least && *least > 0) tick.memory.cut_pressure = 0;
}

void BeginYield(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  memory.yielding = tick.now;
  memory.overloaded_at_floor.reset();
  memory.rate = 0;
  memory.exceeded = Exceeded(tick.options.budgets[*tick.binding], memory.budgets[*tick.binding]);
  tick.ForgetGoodSamples();
  tick.Tell(TransitionKind::kThrottled, memory.exceeded + " without the backfill");
}

}  // namespace

void AgeCeiling(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  if (!memory.ceiling) return;
  if (memory.ceiling_changed && tick.now - *memory.ceiling_changed < kCeilingAge) return;
  memory.ceiling = *memory.ceiling * kCeilingGrowth;
  memory.ceiling_changed = tick.now;
  if (kNearCeiling * *memory.ceiling >= tick.options.max_records_per_second) memory.ceiling.reset();
}

void Steer(Tick& tick, bool degraded) {
  ForgetCutPressure(tick);
  if (tick.binding && tick.pressure > 1) {
    if (ShouldCut(tick)) Cut(tick);
    return;
  }
  const bool returned = Return(tick);
  if (degraded) return;
  if (!returned) Raise(tick);
  RememberGood(tick);
}

bool Yield(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  if (memory.yielding) {
    if (!Degraded(tick) && tick.AllWell()) {
      memory.yielding.reset();
      memory.rate = tick.floor;
      return true;
    }
    memory.rate = 0;
    tick.probing = MayProbe(tick) && tick.now - *memory.yielding >= kProbeYieldAfter;
    return true;
  }
  if (tick.options.at_floor == AtFloor::kKeep || !IsAtFloor(tick) || !tick.binding ||
      tick.pressure <= 1) {
    memory.overloaded_at_floor.reset();
    return false;
  }
  if (!memory.overloaded_at_floor) memory.overloaded_at_floor = tick.now;
  if (tick.now - *memory.overloaded_at_floor < 2 * tick.dead_time) return false;
  BeginYield(tick);
  return true;
}

void RememberPressures(Tick& tick) {
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (!tick.readings[i].usable) continue;
    tick.memory.budgets[i].past.Add(tick.readings[i].pressure, tick.passed, tick.now,
                                    tick.dead_time);
  }
}

}  // namespace backfill::throttle
