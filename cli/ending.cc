#include "cli/ending.h"

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {

bool IsTrue(const api::Status& status, std::string_view type) {
  const api::Condition* c = FindCondition(status, type);
  return c != nullptr && c->status == api::ConditionStatus::kTrue;
}

std::optional<Ending> FindEnding(const api::Backfill& backfill) {
  const api::Status& status = backfill.status;
  if (HasEnded(status)) return IsTrue(status, "Succeeded") ? Ending::kCompleted : Ending::kFailed;
  if (status.observed_generation != backfill.generation || !status.phase) return std::nullopt;
  if (IsTrue(status, "Stalled")) return Ending::kStalled;
  if (*status.phase == api::Phase::kAwaitingApproval) return Ending::kDryRunDone;
  if (*status.phase == api::Phase::kPaused) return Ending::kPaused;
  return std::nullopt;
}

int ExitCodeOf(Ending ending) {
  switch (ending) {
    case Ending::kCompleted:
    case Ending::kDryRunDone:
      return kExitDone;
    case Ending::kFailed:
      return kExitFailed;
    case Ending::kStalled:
    case Ending::kPaused:
      return kExitStopped;
  }
  return kExitStopped;
}

const api::ProgressStatus* ProgressOf(const api::Status& status) {
  const bool dry_run_only =
      status.phase == api::Phase::kDryRunning || status.phase == api::Phase::kAwaitingApproval;
  if (dry_run_only && status.dry_run) return &*status.dry_run;
  if (status.progress) return &*status.progress;
  return status.dry_run ? &*status.dry_run : nullptr;
}

std::uint64_t RecordsDone(const api::Backfill& backfill) {
  const api::Condition* succeeded = FindCondition(backfill.status, "Succeeded");
  const bool of_dry_run = succeeded != nullptr && succeeded->reason == "DryRun";
  const api::ProgressStatus* progress = ProgressOf(backfill.status);
  return progress == nullptr || of_dry_run != backfill.spec.dry_run ? 0 : progress->records;
}

std::string PausedBy(const api::Backfill& backfill) {
  if (const auto it = backfill.annotations.find(api::kPausedAnnotation);
      it != backfill.annotations.end()) {
    // What `pause` writes without a reason says so itself.
    if (it->second.starts_with("paused by ")) return Printable(it->second);
    return it->second.empty() ? "paused by hand" : "paused by hand: " + Printable(it->second);
  }
  return backfill.spec.paused ? "paused by the file (spec.paused: true)" : "";
}

std::string NextStep(const api::Backfill& backfill, std::optional<Ending> ending,
                     const Place& place, std::string_view file) {
  const Place here = place.In(backfill.ns);
  const bool on_cluster = here.cluster.has_value();
  const std::string run =
      CommandToRun(file.empty() || file == "-" ? std::string_view("FILE") : file, here);
  const std::string failures = CommandFor("failures", backfill.name, here);
  const api::ProgressStatus* progress = ProgressOf(backfill.status);
  const bool has_failures = progress != nullptr && progress->failed > 0;
  // Stopped while it was paused, by whomever: `run` alone would end at once.
  if (!ending && !PausedBy(backfill).empty()) ending = Ending::kPaused;
  // An operator goes on by itself.
  if (!ending) return on_cluster ? "" : "continue with: " + run;
  switch (*ending) {
    case Ending::kCompleted:
      return has_failures ? "see what failed: " + failures : "";
    case Ending::kDryRunDone:
      return (has_failures ? "see what failed: " + failures + "; " : std::string()) +
             fmt::format("for real: set dryRun: false and performDisruptiveBackfill: {}, then {}",
                         backfill.name, run);
    case Ending::kFailed:
      return (has_failures ? "see what failed: " + failures + "; " : std::string()) +
             "its spec is locked: to run it again give it a new name";
    case Ending::kStalled: {
      const api::Condition* stalled = FindCondition(backfill.status, "Stalled");
      if (stalled != nullptr && stalled->reason == "FailureBudgetExceeded") {
        return fmt::format(
            "see what failed: {}; then raise spec.failurePolicy in the file and continue with: {}",
            failures, run);
      }
      if (stalled != nullptr && stalled->reason == "SourceChanged") {
        return "put the file back as it was planned, then continue with: " + run +
               "; or plan the file as it is now under a new name";
      }
      if (stalled != nullptr && stalled->reason == "AlreadyRan")
        return "to run it again give it a new name";
      if (stalled != nullptr && stalled->reason == "CRDOutdated")
        return "the cluster's custom resource definitions are older than its operator: apply those "
               "of its chart";
      if (on_cluster) return "mend that, and the operator goes on; if it is the file: " + run;
      return "mend that, then continue with: " + run;
    }
    case Ending::kPaused:
      if (backfill.annotations.contains(api::kPausedAnnotation) && on_cluster)
        return "continue with: " + CommandFor("resume", backfill.name, here);
      if (backfill.annotations.contains(api::kPausedAnnotation)) {
        return fmt::format("continue with: {}; then {}", CommandFor("resume", backfill.name, here),
                           run);
      }
      return "set spec.paused: false in the file, then continue with: " + run;
  }
  return "";
}

}  // namespace backfill::cli
