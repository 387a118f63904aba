#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"
#include "operator/reconcile/throttle_view.h"
#include "operator/reconcile/worker_pool.h"

// What to do about a Backfill, decided from what is observed. Pure: no I/O, no memory between
// calls; every phase change and its reason is in Decide() and its table tests.
namespace backfill::reconcile {

// The report is also the tombstone: it outlives the Backfill, so a second one of the name does not
// run by accident.
enum class ReportState {
  kNone,
  kStarted,     // ours: a real run has begun
  kCompleted,   // ours: the decision to end so is durable and never changes
  kFailed,      // likewise
  kCancelled,   // likewise: deleted before its end
  kOtherRun,    // of another Backfill of the same name
  kNotAReport,  // a ConfigMap of that name that is not ours
};

struct ObservedStage {
  std::optional<LedgerSummary> ledger;  // nullopt: there is none
  std::optional<Error> ledger_error;    // it could not be read
  std::optional<StageSnapshot> open;    // nullopt: not open
  int opened_batch_size = 0;            // what its workers were told when it was opened
  PoolStatus pool;
  std::uint64_t failures_since_session =
      0;  // workers that ended badly since one of them last connected
};

// The stage kPlan.
struct ObservedPlanning {
  std::optional<PlanningSnapshot> open;  // nullopt: not open
  PoolStatus pool;
};

struct Observed {
  api::Backfill backfill;
  // Its spec cannot be understood, and stands in `backfill` as an empty one.
  std::optional<Error> invalid;
  // Something of what follows could not be looked at: nothing is decided on it.
  std::optional<Error> unseen;
  // Workers are elsewhere and outlive the object: a finalizer of ours has to keep it (R24).
  bool needs_finalizer = false;
  // Since this process has seen that it is being deleted, on the monotonic clock: another leader
  // begins anew, which can only make it wait longer.
  Duration deleting_for{};
  ReportState report = ReportState::kNone;
  // The source is not the operator's to read: a worker reads it, and says how it can be cut.
  bool plans_in_worker = false;
  ObservedPlanning planning;
  // Why a worker could not read it when it was last tried, until there is a plan.
  std::optional<Error> planning_error;
  ObservedStage dry_run;
  ObservedStage run;
  // Of what sends to the target; nullopt: nothing does, or its rate has not been asked for yet.
  std::optional<ThrottleView> throttle;
  std::optional<Error> throttle_error;  // why there is none: kInvalid, or tried again
  std::optional<Error> last_error;      // of the last action, until it succeeds
  // What failed, or failed before this process began, is not to be tried again yet (R19).
  bool retry_later = false;
  // Of a pause, until workers are let go; nullopt: never.
  std::optional<Duration> idle_timeout;
  int max_replicas = 3000;
  int crash_limit = 5;  // for each worker; see ReconcilerOptions
};

// Something of it is open, or workers of it are there.
bool UnderWay(const Observed& observed);

// Before anything that has an effect outside of the object (R24). The next step sees it.
struct AddFinalizer {
  bool operator==(const AddFinalizer&) const = default;
};
struct MakePlan {
  bool operator==(const MakePlan&) const = default;
};
struct CreateReport {
  bool operator==(const CreateReport&) const = default;
};
struct OpenStage {
  Stage stage;
  bool operator==(const OpenStage&) const = default;
};
struct ConfigureStage {
  Stage stage;
  LiveSettings settings;
  bool operator==(const ConfigureStage&) const = default;
};
struct ScaleWorkers {
  Stage stage;
  int replicas = 0;
  bool operator==(const ScaleWorkers&) const = default;
};
struct StopWorkers {
  Stage stage;
  bool operator==(const StopWorkers&) const = default;
};
struct CloseStage {
  Stage stage;
  bool operator==(const CloseStage&) const = default;
};
// Until a person resumes it: writes the annotation that `backfill pause` does.
struct PauseForPerson {
  std::string reason;
  bool operator==(const PauseForPerson&) const = default;
};
struct WriteDryRunReport {
  bool operator==(const WriteDryRunReport&) const = default;
};
// Makes the end durable before the status says it.
struct FinishReport {
  ReportState result;
  bool operator==(const FinishReport&) const = default;
};
using Action =
    std::variant<AddFinalizer, MakePlan, CreateReport, OpenStage, ConfigureStage, ScaleWorkers,
                 StopWorkers, CloseStage, PauseForPerson, WriteDryRunReport, FinishReport>;
bool ChangesLedgers(const Action& action);
bool ChangesTheObject(const Action& action);  // but for its status

struct Decision {
  std::vector<Action> actions;  // to perform in order; the first failure ends the list, and the
                                // next step decides anew
  api::Status status;           // to write if it differs
  bool observe_soon = false;    // a stage is open or something is awaited: look again in a moment
  bool settled = false;         // nothing is under way
  // After the actions and the status: nothing of it is left, it may go. Also where the status
  // cannot be written for good.
  bool remove_finalizer = false;
};

// How long a deletion waits for workers to end, and from then on for their leases to lapse: 60 s
// from the last accepted report, and the longest that a request may be on the wire.
inline constexpr Duration kDrainTime = std::chrono::seconds(120);
inline constexpr Duration kLeasesLapse = std::chrono::seconds(65);

// `now` is used for timestamps, the estimate of the end, and for how long an error has lasted,
// which is read from the last transition of Ready.
Decision Decide(const Observed& observed, WallTime now);

}  // namespace backfill::reconcile
