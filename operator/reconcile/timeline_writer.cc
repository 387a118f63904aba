#include "operator/reconcile/timeline_writer.h"

#include "base/log.h"

namespace backfill::reconcile {

void TimelineWriter::Write(report::ReportStore& reports, const api::Backfill& backfill,
                           Throttling& throttling, Time now, bool at_once) {
  if (throttling.changes().empty() || backfill.spec.dry_run) return;  // a dry run has no report
  if (!at_once && tried_ && now - *tried_ < kPeriod) return;
  tried_ = now;
  const Status written = reports.AddThrottling(backfill, throttling.changes());
  if (written.ok()) return throttling.ForgetChanges();
  if (written.error().code == ErrorCode::kNotFound) return;  // the run has not begun
  Log(LogLevel::kDebug, "what throttled a run is not in its report yet",
      {{"backfill", backfill.name}, {"error", written.error().message}});
}

}  // namespace backfill::reconcile
