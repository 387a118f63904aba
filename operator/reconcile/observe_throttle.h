#pragma once

#include "base/clock.h"
#include "operator/reconcile/budget_readings.h"
#include "operator/reconcile/decide.h"
#include "operator/reconcile/throttling.h"

namespace backfill::reconcile {

// Adds to what was observed what the governor says, if anything of it sends to the target. Without
// readings no budget is ever read.
void ObserveThrottle(Observed& observed, Throttling& throttling, BudgetReadings* readings,
                     const Clock& clock);

}  // namespace backfill::reconcile
