#include "operator/reconcile/status_drift.h"

#include <cmath>
#include <string>
#include <utility>

namespace backfill::reconcile {
namespace {

// How far a source has been read.
bool IsProgressOfPlanning(const api::Condition& c) {
  return c.type == "Planned" && c.status == api::ConditionStatus::kUnknown;
}

std::string PlanningOf(const api::Status& status) {
  for (const api::Condition& c : status.conditions)
    if (IsProgressOfPlanning(c)) return c.message;
  return "";
}

}  // namespace

api::Status Lasting(api::Status status) {
  status.progress.reset();
  status.rate.reset();
  status.eta.clear();
  status.workers.reset();
  status.display = {};
  if (status.throttle) {
    // That it is held, and how often, must not be lost. All else moves with each tick.
    api::ThrottleStatus lasting;
    const std::string& state = status.throttle->state;
    if (state != "Ramping" && state != "Steady" && state != "Limited") lasting.state = state;
    lasting.holds = status.throttle->holds;
    lasting.glass_broken_until = status.throttle->glass_broken_until;
    lasting.glass_refused_until = status.throttle->glass_refused_until;
    status.throttle = std::move(lasting);
  }
  // Counts down while a run waits for something, or says anew at each try what is refused.
  for (api::Condition& c : status.conditions)
    if (c.type == "Ready" || c.type == "Stalled" || c.type == "Throttled" ||
        IsProgressOfPlanning(c))
      c.message.clear();
  return status;
}

bool OnlyDrifts(const api::Status& before, const api::Status& after) {
  if (before.progress != after.progress || before.workers != after.workers) return false;
  if (PlanningOf(before) != PlanningOf(after)) return false;
  if (before.rate.has_value() != after.rate.has_value()) return false;
  const auto state = [](const api::Status& status) {
    return status.throttle ? status.throttle->state : "";
  };
  if (state(before) != state(after)) return false;
  constexpr double kSamePressure = 0.05;
  if (before.throttle && after.throttle &&
      std::abs(before.throttle->pressure.value_or(0) - after.throttle->pressure.value_or(0)) >
          kSamePressure)
    return false;
  if (!before.rate) return true;
  constexpr double kNear = 0.01;
  return before.rate->limit == after.rate->limit &&
         before.rate->limited_by == after.rate->limited_by &&
         std::abs(before.rate->current - after.rate->current) <= kNear * before.rate->current;
}

}  // namespace backfill::reconcile
