#pragma once

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/decide.h"
#include "operator/report/run_report.h"

namespace backfill::reconcile {

// What the report says of this very Backfill. Errors: those of the store.
Result<ReportState> ReadReportState(report::ReportStore& reports, const api::Backfill& backfill);

// What is written into one. `state` is one that ends a run.
report::RunResult ToRunResult(ReportState state);

}  // namespace backfill::reconcile
