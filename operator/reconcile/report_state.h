#pragma once

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/decide.h"
#include "operator/report/run_report.h"

namespace backfill::reconcile {

// What the report of a Backfill's name says about it. Errors are those of the store: where there is
// no report, or something else of its name, that is what is returned.
Result<ReportState> ReadReportState(report::ReportStore& reports, const api::Backfill& backfill);

// What is written into one. `state` is one that ends a run.
report::RunResult ToRunResult(ReportState state);

}  // namespace backfill::reconcile
