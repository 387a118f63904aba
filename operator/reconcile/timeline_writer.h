#pragma once

#include <optional>

#include "base/clock.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/throttling.h"
#include "operator/report/run_report.h"

namespace backfill::reconcile {

// Brings what a governor did into the report of its run. It is an account for people: what cannot
// be written is tried again later, and what a killed operator had not written yet is missing. Not
// thread-safe.
class TimelineWriter {
 public:
  static constexpr Duration kPeriod = std::chrono::seconds(30);  // between writes

  // Writes if there is something new, and it is due or `at_once`.
  void Write(report::ReportStore& reports, const api::Backfill& backfill, Throttling& throttling,
             Time now, bool at_once);

 private:
  std::optional<Time> tried_;
};

}  // namespace backfill::reconcile
