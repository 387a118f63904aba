#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/throttle/budget_watch.h"
#include "operator/throttle/decision.h"
#include "operator/throttle/governor.h"

// Inside of Governor: what the steps of one tick share. Each step is a function over it, in a file
// of its own; Governor::Step() is their order.
namespace backfill::throttle {

struct Tick {
  // References outlive the tick.
  const GovernorOptions& options;
  const Inputs& inputs;
  GovernorMemory& memory;
  Time now;
  std::optional<Time> last;  // the step before
  Duration passed{};         // since then, at most a tick
  Duration dead_time{};      // L
  double share = 0;          // passed / L: what gains are multiplied by

  double limit = 0;
  double floor = 0;                     // never above the limit
  double sent = 0;                      // a
  double mean_sent = 0;                 // A
  std::vector<BudgetReading> readings;  // of each budget
  std::optional<std::size_t> binding;   // of those that act
  double pressure = 0;                  // P, of `binding`
  bool may_raise = true;

  bool raised = false;
  bool cut = false;
  bool probing = false;
  bool metric_hold = false;  // R is 0 because a metric is missing
  std::vector<Transition> transitions;

  // Enforced and usable: it acts.
  [[nodiscard]] bool Acts(std::size_t budget) const {
    return options.budgets[budget].enforce && readings[budget].usable;
  }
  // Enforced, required and not usable: the governor is degraded.
  [[nodiscard]] bool Missing(std::size_t budget) const {
    return options.budgets[budget].enforce && options.budgets[budget].required &&
           !readings[budget].usable;
  }
  // All required budgets are usable and all that act have been below their targets for so many new
  // samples as hold.goodSamples says.
  [[nodiscard]] bool AllWell() const;
  void ForgetGoodSamples();
  void Tell(TransitionKind kind, std::string message);
};

// Reads the inputs: bounds, rates, what the metrics say now.
Tick BeginTick(const GovernorOptions& options, const Inputs& inputs, GovernorMemory& memory,
               Time now);

// Any number as a rate: what is not one is 0.
double Rate(double records_per_second);

// "p99 0.31 over 0.25"
std::string Exceeded(const Budget& budget, const BudgetMemory& memory);

}  // namespace backfill::throttle
