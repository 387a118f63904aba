#pragma once

#include <stop_token>

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/plan/plan.h"

namespace backfill::reconcile {

// The plan that a spec means: what a reviewer is shown is what runs. failuresOf has been resolved
// (ResolveSource). Errors as plan::MakePlan.
Result<plan::Plan> PlanFor(const api::Spec& spec, std::stop_token stop);

}  // namespace backfill::reconcile
