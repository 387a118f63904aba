#include "operator/reconcile/report_state.h"

namespace backfill::reconcile {

Result<ReportState> ReadReportState(report::ReportStore& reports, const api::Backfill& backfill) {
  const auto report = reports.Read(backfill);
  if (!report.ok()) {
    if (report.error().code == ErrorCode::kNotFound) return ReportState::kNone;
    if (report.error().code == ErrorCode::kInvalid) return ReportState::kNotAReport;
    return report.error();
  }
  if (report->backfill_uid != backfill.uid) return ReportState::kOtherRun;
  switch (report->result) {
    case report::RunResult::kStarted:
      return ReportState::kStarted;
    case report::RunResult::kCompleted:
      return ReportState::kCompleted;
    case report::RunResult::kFailed:
      return ReportState::kFailed;
    case report::RunResult::kCancelled:
      return ReportState::kCancelled;
  }
  return ReportState::kNotAReport;
}

report::RunResult ToRunResult(ReportState state) {
  if (state == ReportState::kCompleted) return report::RunResult::kCompleted;
  return state == ReportState::kCancelled ? report::RunResult::kCancelled
                                          : report::RunResult::kFailed;
}

}  // namespace backfill::reconcile
