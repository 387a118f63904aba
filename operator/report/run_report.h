#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/kube/object_store.h"
#include "operator/report/throttle_timeline.h"

// The account of a run, in a ConfigMap without an owner: it outlives its Backfill, and so keeps a
// second one of the same name from running by accident (docs/concepts.md, "No accidental second
// run").
namespace backfill::report {

enum class RunResult {
  kStarted,
  kCompleted,
  kFailed,
  kCancelled,  // deleted before its end
};

struct RunReport {
  std::string backfill_uid;
  std::string plan_hash;
  RunResult result = RunResult::kStarted;
  std::string started;  // RFC 3339
  std::string ended;    // empty while it runs
  api::ProgressStatus outcome;
  // Of a file, as planned.
  std::uint64_t bad_records = 0;
  std::uint64_t duplicate_keys = 0;
  ThrottleTimeline throttling;
};

struct Sample {
  std::string key;
  std::string request;
};

std::string RunReportName(const std::string& backfill);     // <name>-report
std::string DryRunReportName(const std::string& backfill);  // <name>-dry-run-report

// Thread-safe as far as the store is.
class ReportStore {
 public:
  explicit ReportStore(kube::ObjectStore& store) : store_(store) {}

  // kNotFound: none; kInvalid: there is a ConfigMap of that name which is not a report.
  Result<RunReport> Read(const api::Backfill& backfill);

  // Before the first lease of a real run. kConflict: there is one already (read it).
  Status Begin(const api::Backfill& backfill, WallTime now);

  // What its governor did since the last time. kNotFound: there is no report; kConflict: it is of
  // another run, or ended.
  Status AddThrottling(const api::Backfill& backfill,
                       const std::vector<api::ThrottleChange>& changes);

  // Makes the end durable. Once it says more than Started it never changes: repeating the same is
  // fine, another result is kConflict.
  Status Finish(const api::Backfill& backfill, RunResult result, const api::ProgressStatus& outcome,
                WallTime now);

  // The dry run's results: counts, and requests as they would be sent. Belongs to the Backfill.
  Status WriteDryRun(const api::Backfill& backfill, const api::ProgressStatus& outcome,
                     const std::vector<Sample>& samples, WallTime now);
  Result<std::vector<Sample>> ReadSamples(const api::Backfill& backfill);

 private:
  kube::ObjectStore& store_;
};

}  // namespace backfill::report
