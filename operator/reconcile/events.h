#pragma once

#include <string>
#include <vector>

#include "operator/api/backfill.h"

// What is told to people as events of a Backfill: what has become another between two statuses of
// it, and only that; never one for a shard or a record. Pure.
namespace backfill::reconcile {

struct BackfillEvent {
  bool warning = false;
  std::string reason;  // PlanComputed, Paused, Failed ..
  std::string action;  // what the operator was about: Plan, Run, Pause, Finish ..
  std::string note;    // at most 1,024 bytes
  bool operator==(const BackfillEvent&) const = default;
};

// In the order in which people think of them. `before` is the status that was stored, `after` the
// one that has been written over it. Of one state that lasts there is one event: a second call with
// the same pair is the caller's to avoid, equal statuses give none.
std::vector<BackfillEvent> EventsOf(const api::Status& before, const api::Status& after);

// Of a deletion that did not wait any longer; told as DrainTimeout.
inline constexpr char kDrainTimedOut[] =
    "workers have not ended in 120 s; waiting until their leases have lapsed";

}  // namespace backfill::reconcile
