#include "operator/throttle/tick.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace backfill::throttle {
namespace {

// Above any rate in use: keeps sums finite whatever is said.
constexpr double kAnyRate = 1e9;

double SecondsOf(Duration d) { return std::chrono::duration<double>(d).count(); }

// Four digits are enough for people.
std::string Short(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

}  // namespace

double Rate(double records_per_second) {
  if (!(records_per_second > 0)) return 0;  // NaN, too
  return std::min(records_per_second, kAnyRate);
}

std::string Exceeded(const Budget& budget, const BudgetMemory& memory) {
  const std::string_view side = budget.direction == Direction::kMax ? " over " : " under ";
  std::string text = budget.name + " ";
  text.append(Short(memory.value.value_or(0))).append(side).append(Short(budget.bound));
  return text;
}

bool Tick::AllWell() const {
  if (!binding) return false;  // nobody says so
  for (std::size_t i = 0; i < readings.size(); ++i) {
    if (Missing(i)) return false;
    if (!Acts(i)) continue;
    if (memory.budgets[i].good_in_a_row < options.hold.good_samples) return false;
  }
  return true;
}

void Tick::ForgetGoodSamples() {
  for (BudgetMemory& budget : memory.budgets) budget.good_in_a_row = 0;
}

void Tick::Tell(TransitionKind kind, std::string message) {
  transitions.push_back({.kind = kind, .message = std::move(message)});
}

Tick BeginTick(const GovernorOptions& options, const Inputs& inputs, GovernorMemory& memory,
               Time now) {
  Tick tick{.options = options,
            .inputs = inputs,
            .memory = memory,
            .now = now,
            .last = memory.last_step,
            .passed = options.tick,
            .dead_time = DeadTime(options),
            .readings = {},
            .binding = std::nullopt,
            .transitions = {}};
  if (tick.last) tick.passed = std::min(now - *tick.last, options.tick);
  tick.share = SecondsOf(tick.passed) / SecondsOf(tick.dead_time);

  tick.limit = options.max_records_per_second;
  if (inputs.window_limit) tick.limit = std::min(tick.limit, Rate(*inputs.window_limit));
  if (inputs.cap) tick.limit = std::min(tick.limit, Rate(*inputs.cap));
  tick.floor = std::min(options.floor, tick.limit);

  const Observation nothing;
  tick.readings.reserve(options.budgets.size());
  for (std::size_t i = 0; i < options.budgets.size(); ++i) {
    const Observation& said = i < inputs.observations.size() ? inputs.observations[i] : nothing;
    tick.readings.push_back(Read(options.budgets[i], said, memory.budgets[i], now));
    memory.budgets[i].past.Forget(now, tick.dead_time);
    if (!tick.Acts(i)) continue;
    if (!tick.binding || tick.readings[i].pressure > tick.pressure) {
      tick.binding = i;
      tick.pressure = tick.readings[i].pressure;
    }
  }

  if (tick.binding) memory.pressure = tick.pressure;

  tick.sent = Rate(inputs.sent);
  tick.may_raise = !inputs.canary && !(memory.no_raise_until && now < *memory.no_raise_until);
  for (std::size_t i = 0; i < options.budgets.size(); ++i) {
    const bool late = tick.readings[i].state == MetricState::kLate;
    if (late && tick.Acts(i) && options.budgets[i].required) tick.may_raise = false;
  }
  return tick;
}

}  // namespace backfill::throttle
