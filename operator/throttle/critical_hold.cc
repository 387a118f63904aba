#include "operator/throttle/critical_hold.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "operator/throttle/missing_metric.h"

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

// So far beyond critical, one sample is enough.
constexpr double kBeyondDoubt = 1.5;
// Holds that are further apart have nothing to do with each other.
constexpr Duration kInARow = 30min;
constexpr int kMaxHolds = 1000;
constexpr double kGoodAfterHold = 0.5;  // of the rate before a hold: what to come back to quickly

Duration HoldFor(const HoldOptions& hold, int holds) {
  Duration duration = hold.duration;
  for (int i = 1; i < holds && duration < hold.max_duration; ++i) duration *= 2;
  return std::min(duration, hold.max_duration);
}

// The budget that is critical; nullopt: none.
std::optional<std::size_t> Critical(const Tick& tick) {
  std::optional<std::size_t> worst;
  double most = 0;
  for (std::size_t i = 0; i < tick.readings.size(); ++i) {
    if (!tick.Acts(i)) continue;
    const double critical = CriticalPressure(tick.options.budgets[i]);
    const double pressure = tick.readings[i].pressure;
    const bool confirmed =
        tick.memory.budgets[i].critical_in_a_row >= tick.options.hold.confirmations;
    if (!confirmed && pressure < kBeyondDoubt * critical) continue;
    if (!worst || pressure / critical > most) {
      worst = i;
      most = pressure / critical;
    }
  }
  return worst;
}

void BeginHold(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  memory.before_hold = std::max(memory.rate, tick.mean_sent);
  const bool in_a_row = memory.last_critical && tick.now - *memory.last_critical < kInARow;
  memory.holds = in_a_row ? std::min(memory.holds + 1, kMaxHolds) : 1;
  memory.hold_began = tick.now;
  memory.ceiling_changed = tick.now;
  memory.yielding.reset();
  memory.overloaded_at_floor.reset();
}

int PauseAfter(const HoldOptions& hold) {
  return hold.on_critical == OnCritical::kPause ? 1 : hold.pause_after;
}

}  // namespace

void WatchForCritical(Tick& tick) {
  const std::optional<std::size_t> critical = Critical(tick);
  if (!critical) return;
  GovernorMemory& memory = tick.memory;
  memory.exceeded =
      Exceeded(tick.options.budgets[*critical], memory.budgets[*critical]) + ", critical";
  if (!memory.hold_began) {
    BeginHold(tick);
    tick.Tell(TransitionKind::kCriticalHold, memory.exceeded);
  }
  memory.held_since = tick.now;
  memory.last_critical = tick.now;
  memory.rate = 0;
  tick.ForgetGoodSamples();
}

bool GoOnHolding(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  if (!memory.hold_began) return false;
  memory.rate = 0;
  const int holds = std::max(1, memory.holds);
  const bool over = tick.now - *memory.held_since >= HoldFor(tick.options.hold, holds);
  if (!over) return true;
  if (!tick.AllWell()) {
    // The metric may exist only while records flow.
    tick.probing = MayProbe(tick);
    return true;
  }
  const double share = std::ldexp(tick.options.hold.resume_factor, 1 - holds);
  memory.rate = std::clamp(memory.before_hold * share, tick.floor, tick.limit);
  memory.good = kGoodAfterHold * memory.before_hold;
  memory.hold_began.reset();
  memory.held_since.reset();
  tick.ForgetGoodSamples();
  return true;
}

bool AsksForPause(const Tick& tick) {
  const int after = PauseAfter(tick.options.hold);
  return after > 0 && tick.memory.hold_began && tick.memory.holds >= after;
}

void ForgetHolds(Tick& tick) {
  const int after = PauseAfter(tick.options.hold);
  if (after > 0 && tick.memory.holds >= after) tick.memory.holds = 0;
}

}  // namespace backfill::throttle
