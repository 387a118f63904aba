#include <chrono>
#include <optional>
#include <string>

#include "operator/api/conditions.h"
#include "operator/reconcile/activity.h"
#include "operator/reconcile/deciding.h"

// What the governor of the rate has to do with the life of a Backfill.
namespace backfill::reconcile {
namespace {

using api::ConditionStatus;

constexpr char kOutsideOfTheSchedule[] = "Blackout";
// What the operator pauses for, as written into the annotation.
constexpr char kRepeatedHolds[] = "RepeatedCriticalHolds";
constexpr char kCriticalHold[] = "CriticalHold";
constexpr char kMetricUnavailable[] = "MetricUnavailable";
// As for one that goes away later: then a person should look.
constexpr Duration kWaitsForAPerson = std::chrono::minutes(30);

}  // namespace

void Deciding::WithoutGovernor(Stage stage, const ObservedStage& seen) {
  const Error& error = *o_.throttle_error;
  if (error.code == ErrorCode::kInvalid) {
    Stalled("InvalidSpec", error.message);
  } else {
    Ready(ConditionStatus::kFalse, "ScheduleUnavailable", error.message);
  }
  ShowActivity(stage, seen, 0, "Schedule");
  if (seen.open) PauseLeases(stage);
  out_.observe_soon = true;
}

bool Deciding::WaitsForMetrics(const ObservedStage& seen) const {
  // Workers that another operator left are taken over first.
  return o_.throttle && !o_.throttle->waits_for.empty() && (seen.open || seen.pool.alive == 0);
}

bool Deciding::WaitsForLong() const {
  const api::Condition* ready = api::FindCondition(b_.status, "Ready");
  if (ready == nullptr || ready->status != ConditionStatus::kFalse ||
      ready->reason != kMetricUnavailable)
    return false;
  const std::optional<WallTime> since = ParseWallTime(ready->last_transition_time);
  return since && now_ - *since >= kWaitsForAPerson;
}

void Deciding::WaitForMetrics() {
  status_.SetPhase(api::Phase::kPending);
  status_.ClearActivity();
  if (o_.throttle->asks_first) {
    Ready(ConditionStatus::kUnknown, "Pending", o_.throttle->waits_for);
  } else {
    Ready(ConditionStatus::kFalse, kMetricUnavailable, o_.throttle->waits_for);
    if (WaitsForLong()) Stalled(kMetricUnavailable, o_.throttle->waits_for);
  }
  out_.observe_soon = true;
}

void Deciding::AskForAPerson(const std::string& paused) {
  if (!o_.throttle) return;
  if (paused.empty() && !o_.throttle->pause_for.empty()) Do(PauseForPerson{o_.throttle->pause_for});
  if (paused == kRepeatedHolds || paused == kCriticalHold) {
    Stalled(paused, "a budget was critical; look at the target, then resume");
  } else if (paused.empty() && !o_.throttle->stalled.empty()) {
    Stalled(o_.throttle->stalled, o_.throttle->message);
  }
}

std::string Deciding::WhatLimitsIt(const ObservedStage& seen, const LiveSettings& settings,
                                   bool paused) const {
  if (paused) return "Pause";
  std::string limits = WhatLimits(seen, settings);
  if (!o_.throttle || settings.unlimited) return limits;
  // Nobody is kept waiting by what is not the reason.
  const bool rests = settings.records_per_second == 0;
  return rests || limits == "Max" ? o_.throttle->limited_by : limits;
}

std::string Deciding::WhyItRests(const ObservedStage& seen, bool paused) const {
  std::string why = WhatItWaitsFor(seen, paused);
  if (paused || !o_.throttle || o_.throttle->rate > 0 || !o_.throttle->status) return why;
  return why + (why.empty() ? "" : "; ") + o_.throttle->status->reason;
}

bool Deciding::IsIdle() const {
  if (!o_.idle_timeout) return false;
  const auto lasts = [this](const std::string& began) {
    const std::optional<WallTime> since = ParseWallTime(began);
    return since && now_ - *since >= *o_.idle_timeout;
  };
  const api::Condition* paused = api::FindCondition(b_.status, "Paused");
  if (FindPause() && paused != nullptr && paused->status == ConditionStatus::kTrue)
    return lasts(paused->last_transition_time);
  return o_.throttle && o_.throttle->status &&
         o_.throttle->status->state == kOutsideOfTheSchedule && lasts(o_.throttle->status->since);
}

}  // namespace backfill::reconcile
