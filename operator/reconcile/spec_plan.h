#pragma once

#include <functional>
#include <stop_token>

#include "base/clock.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/plan/plan.h"
#include "rows/file_plan.h"
#include "rows/format.h"

namespace backfill::reconcile {

using PlanningProgress = std::function<void(const rows::PlanProgress&)>;

// The plan that a spec means: what a reviewer is shown is what runs. `progress` is called while a
// file is read, on the same thread. failuresOf has been resolved (ResolveSource). Errors as
// plan::MakePlan.
Result<plan::Plan> PlanFor(const api::Spec& spec, std::stop_token stop,
                           const PlanningProgress& progress = nullptr);

// What is said of it in the status.
api::PlanStatus ToStatus(const plan::Plan& plan, WallTime now);

}  // namespace backfill::reconcile
