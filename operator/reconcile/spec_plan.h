#pragma once

#include <functional>
#include <stop_token>

#include "base/clock.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/plan/found_source.h"
#include "operator/plan/plan.h"
#include "operator/reconcile/stage_host.h"
#include "rows/file_plan.h"
#include "rows/format.h"

namespace backfill::reconcile {

using PlanningProgress = std::function<void(const rows::PlanProgress&)>;

// The plan that a spec means: what a reviewer is shown is what runs. `progress` is called while a
// file is read, on the same thread. failuresOf has been resolved (ResolveSource). Errors as
// plan::MakePlan.
Result<plan::Plan> PlanFor(const api::Spec& spec, std::stop_token stop,
                           const PlanningProgress& progress = nullptr);

// kInternal: the failures that failuresOf has been resolved to are not those of status.plan.
Status CheckIsPlanned(const api::Backfill& resolved, std::stop_token stop);

// Whether a worker has to look at the source first: at a file on a cluster, whose operator is not
// to read what its users name (ADR 25).
bool IsReadByWorker(const api::Spec& spec, bool on_cluster);

// The plan that PlanFor() would have made of what a worker has found; as StageHost::Found(). After
// an error its stage is closed, so that the next try begins anew.
Result<plan::Plan> PlanFound(const api::Backfill& backfill, StageHost& stages);

// What is said of it in the status.
api::PlanStatus ToStatus(const plan::Plan& plan, WallTime now);

}  // namespace backfill::reconcile
