#pragma once

#include "base/clock.h"
#include "operator/reconcile/decide.h"
#include "operator/reconcile/reconciler.h"
#include "operator/reconcile/throttling.h"

namespace backfill::reconcile {

// Adds to what was observed what the governor says, if anything of it sends to the target. Without
// options.budgets no budget is ever read.
void ObserveThrottle(Observed& observed, Throttling& throttling, ThrottleGroups& groups,
                     const ReconcilerOptions& options, const Clock& clock);

// Nothing of it sends any more, or it is gone.
void ReleaseThrottle(const api::Backfill& backfill, ThrottleGroups& groups,
                     const ReconcilerOptions& options, const Clock& clock);

}  // namespace backfill::reconcile
