#include "operator/reconcile/decide.h"

#include <algorithm>
#include <utility>

#include "operator/api/conditions.h"
#include "operator/reconcile/failure_budget.h"
#include "operator/reconcile/status_builder.h"

namespace backfill::reconcile {
namespace {

using api::ConditionStatus;
using api::Phase;
using namespace std::chrono_literals;

constexpr Duration kErrorPatience = 10min;  // of a retried error, before a person is asked

using api::HasEnded;

// Why it is paused, or nullopt.
struct PauseCause {
  std::string reason;
  std::string message;
};
std::optional<PauseCause> FindPause(const api::Backfill& b) {
  if (const auto it = b.annotations.find(api::kPausedAnnotation); it != b.annotations.end())
    return PauseCause{"AnnotationPaused", it->second};
  if (b.spec.paused) return PauseCause{"SpecPaused", "spec.paused is true"};
  return std::nullopt;
}

// One call of Decide(): collects actions and conditions while the cases are gone through from the
// most to the least binding. Each Case...() returns true when it has decided.
class Deciding {
 public:
  Deciding(const Observed& observed, WallTime now)
      : o_(observed), b_(observed.backfill), now_(now), status_(observed.backfill, now) {}

  Decision Run() {
    if (HasEnded(b_.status)) return Ended();
    Baseline();
    (void)(RefusedByReport() || NotPlanned() || LeadershipLost() || LedgerDamaged() || DryRun() ||
           RunWithoutReport() || RunStage());
    ShowPendingError();
    out_.status = status_.Take();
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string ReportName() const { return b_.name + "-report"; }

  // The one that the spec asks for now; the other's state does not matter.
  [[nodiscard]] const ObservedStage& StageInUse() const {
    return b_.spec.dry_run ? o_.dry_run : o_.run;
  }

  static ledger::Totals TotalsOf(const ObservedStage& stage) {
    if (stage.open) return stage.open->totals;
    return stage.ledger ? stage.ledger->totals : ledger::Totals{};
  }

  void Do(const Action& action) { out_.actions.push_back(action); }

  // The conditions that every status has, as they are while nothing special is to be said.
  void Baseline() {
    const bool planned = b_.status.plan.has_value();
    status_.Set("Succeeded", ConditionStatus::kUnknown, b_.spec.dry_run ? "DryRun" : "Pending");
    status_.Set("Planned", planned ? ConditionStatus::kTrue : ConditionStatus::kUnknown,
                planned ? "PlanReady" : "Planning");
    if (b_.spec.dry_run) {
      const bool done = b_.status.dry_run.has_value();
      status_.Set("Approved", done ? ConditionStatus::kFalse : ConditionStatus::kUnknown,
                  done ? "DryRun" : "NotPlanned",
                  done ? "a dry run; set dryRun to false to run it for real" : "");
    } else {
      status_.Set("Approved", planned ? ConditionStatus::kTrue : ConditionStatus::kUnknown,
                  planned ? "NotRequired" : "NotPlanned");
    }
    status_.Set("Throttled", ConditionStatus::kFalse, "NotThrottled");
    status_.Set("Verified", ConditionStatus::kUnknown, "NotRequested");
    const auto pause = FindPause(b_);
    status_.Set("Paused", pause ? ConditionStatus::kTrue : ConditionStatus::kFalse,
                pause ? pause->reason : "NotPaused", pause ? pause->message : "");
    status_.Clear("Reconciling");
    status_.Clear("Stalled");
    // From what is there, not from who made it: a crash may have come between the two writes.
    if (o_.report == ReportState::kStarted || o_.report == ReportState::kCompleted ||
        o_.report == ReportState::kFailed)
      status_.SetReport(ReportName());
    ClosedProgress();
  }

  // Progress as the ledger has it, for as long as no stage is open.
  void ClosedProgress() {
    const ObservedStage& stage = StageInUse();
    if (stage.open) {
      status_.SetProgress(stage.open->totals);
    } else if (stage.ledger) {
      status_.SetProgress(stage.ledger->totals);
    }
  }

  void Ready(ConditionStatus value, std::string_view reason, std::string_view message = "") {
    status_.Set("Ready", value, reason, message);
  }
  void Reconciling(std::string_view reason, std::string_view message) {
    status_.Clear("Stalled");
    status_.Set("Reconciling", ConditionStatus::kTrue, reason, message);
  }
  // Needs a person.
  void Stalled(std::string_view reason, std::string_view message) {
    status_.Clear("Reconciling");
    status_.Set("Stalled", ConditionStatus::kTrue, reason, message);
    Ready(ConditionStatus::kFalse, reason, message);
  }

  // What the case that was decided is held up by: an action or a write that failed and is tried
  // again. After some time of it a person is asked, while the trying goes on.
  void ShowPendingError() {
    std::optional<Error> error = PendingError();
    const char* reason = b_.status.plan ? "StoreUnavailable" : "SourceUnavailable";
    if (!error) {
      error = UnreadableSource();
      reason = "SourceUnavailable";
    }
    if (!error || status_.Has("Stalled")) return;
    out_.settled = false;
    out_.observe_soon = true;
    if (HasLasted(kErrorPatience)) {
      Stalled(reason, error->message);
      return;
    }
    Ready(ConditionStatus::kFalse, reason, error->message);
    if (!status_.Has("Reconciling")) Reconciling("Retrying", "what failed is tried again");
  }

  [[nodiscard]] std::optional<Error> PendingError() const {
    for (const ObservedStage* stage : {&o_.dry_run, &o_.run}) {
      if (!stage->open || !stage->open->error) continue;
      if (stage->open->error->code == ErrorCode::kConflict)
        return std::nullopt;  // LeadershipLost()
      return stage->open->error;
    }
    return o_.last_error ? o_.last_error : StageInUse().ledger_error;
  }

  // It is away, and workers try again.
  [[nodiscard]] std::optional<Error> UnreadableSource() const {
    const ObservedStage& stage = StageInUse();
    if (!stage.open || !stage.open->source_error || FindPause(b_)) return std::nullopt;
    return stage.open->source_error;
  }

  // Whether Ready has been False for so long.
  [[nodiscard]] bool HasLasted(Duration patience) const {
    const api::Condition* ready = api::FindCondition(b_.status, "Ready");
    if (ready == nullptr || ready->status != ConditionStatus::kFalse) return false;
    const std::optional<WallTime> since = ParseWallTime(ready->last_transition_time);
    return since && now_ - *since >= patience;
  }

  Decision Ended() {
    out_.status = b_.status;
    out_.status.observed_generation = b_.generation;
    const bool wound_down = WindDownBoth();
    out_.settled = wound_down;
    out_.observe_soon = !wound_down;
    return std::move(out_);
  }

  // Ends workers and closes the stage. True when nothing of it is left.
  bool WindDown(Stage stage, const ObservedStage& seen) {
    if (!seen.open && seen.pool.alive == 0) return true;
    if (seen.open && seen.pool.alive > 0) PauseLeases(stage);
    if (seen.pool.alive > 0 || seen.pool.desired > 0) Do(StopWorkers{stage});
    if (seen.open && seen.pool.alive == 0) Do(CloseStage{stage});
    out_.observe_soon = true;
    return false;
  }

  bool WindDownBoth() {
    const bool dry_run = WindDown(Stage::kDryRun, o_.dry_run);
    const bool run = WindDown(Stage::kRun, o_.run);
    return dry_run && run;
  }

  void PauseLeases(Stage stage) {
    LiveSettings settings = Settings(stage);
    settings.paused = true;
    Do(ConfigureStage{stage, settings});
  }

  [[nodiscard]] LiveSettings Settings(Stage stage) const {
    LiveSettings s;
    s.paused = FindPause(b_).has_value();
    s.concurrency = b_.spec.workers.concurrency;
    s.attempts = b_.spec.failure_policy.attempts;
    s.records_per_second = static_cast<double>(b_.spec.throttle.max_records_per_second.value_or(0));
    // A dry run that sends nothing needs no limit; one with a request of its own has to declare a
    // rate.
    s.unlimited = stage == Stage::kDryRun && !b_.spec.target.dry_run;
    return s;
  }

  // ---- the cases

  // Before anything is planned for a real run: has one of this name run already?
  bool RefusedByReport() {
    if (b_.spec.dry_run) return false;
    if (o_.report != ReportState::kOtherRun && o_.report != ReportState::kNotAReport) return false;
    const std::string report = ReportName();
    if (o_.report == ReportState::kOtherRun) {
      Stalled("AlreadyRan",
              "ConfigMap " + report +
                  " says that a backfill of this name has run; give this one another name");
    } else {
      Stalled("NameConflict", "ConfigMap " + report +
                                  " is not a report; rename the backfill or remove the ConfigMap");
    }
    status_.SetPhase(b_.status.plan ? Phase::kAwaitingApproval : Phase::kPending);
    status_.ClearActivity();
    out_.settled = WindDownBoth();
    return true;
  }

  bool NotPlanned() {
    if (b_.status.plan) return false;
    status_.SetPhase(Phase::kPlanning);
    status_.ClearActivity();
    Ready(ConditionStatus::kUnknown, "Planning");
    if (o_.last_error && o_.last_error->code == ErrorCode::kInvalid) {
      status_.Set("Planned", ConditionStatus::kFalse, "PlanFailed", o_.last_error->message);
      Stalled("InvalidSpec", o_.last_error->message);
      out_.settled = true;
      return true;
    }
    Reconciling("Planning", "cutting the source into shards");
    Do(MakePlan{});
    out_.observe_soon = true;
    return true;
  }

  // Another leader has written the ledger: nothing that this one knows counts any more.
  bool LeadershipLost() {
    for (const ObservedStage* stage : {&o_.dry_run, &o_.run}) {
      if (!stage->open || !stage->open->error || stage->open->error->code != ErrorCode::kConflict)
        continue;
      Ready(ConditionStatus::kFalse, "LeadershipLost", stage->open->error->message);
      Reconciling("Draining", "another leader has taken over; workers end");
      out_.settled = WindDownBoth();
      return true;
    }
    return false;
  }

  bool LedgerDamaged() {
    if (b_.spec.dry_run && b_.status.dry_run) return false;  // needed no more
    const ObservedStage& stage = StageInUse();
    std::string damage;
    if (stage.ledger_error && stage.ledger_error->code == ErrorCode::kInternal)
      damage = stage.ledger_error->message;
    if (stage.open && stage.open->error && stage.open->error->code == ErrorCode::kInternal)
      damage = stage.open->error->message;
    if (stage.ledger && stage.ledger->plan_hash != b_.status.plan->hash)
      damage = "the ledger belongs to plan " + stage.ledger->plan_hash;
    // The plan is in the status, so its ledger was durable once.
    if (damage.empty() && !stage.ledger && !stage.ledger_error && !stage.open)
      damage = "the ledger is gone";
    if (damage.empty()) return false;
    Stalled("LedgerCorrupt", damage);
    status_.SetPhase(Phase::kPaused);
    status_.ClearActivity();
    out_.settled = WindDownBoth();
    return true;
  }

  bool DryRun() {
    if (!b_.spec.dry_run) {
      // Turned off meanwhile: what is left of the dry run ends first; its ledger stays.
      if (WindDown(Stage::kDryRun, o_.dry_run)) return false;
      status_.SetPhase(Phase::kDryRunning);
      Ready(ConditionStatus::kTrue, "DryRunning");
      Reconciling("Draining", "the dry run ends");
      return true;
    }
    const ObservedStage& stage = o_.dry_run;
    if (b_.status.dry_run) {  // done
      status_.SetPhase(Phase::kAwaitingApproval);
      status_.ClearActivity();
      Ready(ConditionStatus::kTrue, "DryRunCompleted");
      out_.settled = WindDown(Stage::kDryRun, stage);
      return true;
    }
    // One that sends requests may do harm, too; there is no run yet that could fail.
    if (b_.spec.target.dry_run) {
      if (const auto exceeded = ExceededBudget(TotalsOf(stage))) {
        PauseForFailures(Stage::kDryRun, stage, *exceeded);
        return true;
      }
    }
    if (stage.open && stage.open->totals.shards_done == stage.open->totals.shards &&
        stage.open->flushed) {
      status_.SetPhase(Phase::kDryRunning);
      Ready(ConditionStatus::kTrue, "DryRunning");
      Reconciling("Draining", "all records are done; workers end");
      if (stage.pool.alive > 0) {
        WindDown(Stage::kDryRun, stage);
      } else {
        Do(WriteDryRunReport{});  // sets status.dryRun; the stage is closed in the next step
        out_.observe_soon = true;
      }
      return true;
    }
    Active(Stage::kDryRun, stage, Phase::kDryRunning, "DryRunning");
    return true;
  }

  bool RunWithoutReport() {
    if (o_.report != ReportState::kNone) return false;
    if (const auto pause = FindPause(b_); pause && !o_.run.open)
      return false;  // nothing begins while paused
    status_.SetPhase(Phase::kRunning);
    Ready(ConditionStatus::kTrue, "Running");
    Do(CreateReport{});
    out_.observe_soon = true;
    return true;
  }

  bool RunStage() {
    const ObservedStage& stage = o_.run;
    status_.Set("Succeeded", ConditionStatus::kUnknown, "Running");
    const ledger::Totals totals = TotalsOf(stage);
    if (o_.report == ReportState::kCompleted || o_.report == ReportState::kFailed) {
      End(stage, totals, o_.report);  // decided earlier; the decision does not change
      return true;
    }
    if (const auto exceeded = ExceededBudget(totals)) {
      if (b_.spec.failure_policy.on_exceeded == api::OnExceeded::kFail) {
        End(stage, totals, ReportState::kFailed);
      } else {
        PauseForFailures(Stage::kRun, stage, *exceeded);
      }
      return true;
    }
    const bool covered = totals.shards > 0 && totals.shards_done == totals.shards;
    if (covered && (!stage.open || stage.open->flushed)) {
      const bool adds_up = totals.counts.total() == b_.status.plan->records;
      End(stage, totals, adds_up ? ReportState::kCompleted : ReportState::kFailed);
      return true;
    }
    if (b_.status.plan->shards == 0) {
      End(stage, totals, ReportState::kCompleted);
      return true;
    }
    Active(Stage::kRun, stage, Phase::kRunning, "Running");
    return true;
  }

  [[nodiscard]] std::optional<std::string> ExceededBudget(const ledger::Totals& totals) const {
    return FailureBudgetExceeded(b_.spec.failure_policy, totals.counts.failed,
                                 b_.status.plan->records);
  }

  // Until a person has raised the bound.
  void PauseForFailures(Stage stage, const ObservedStage& seen, const std::string& exceeded) {
    status_.SetPhase(Phase::kPaused);
    Stalled("FailureBudgetExceeded",
            exceeded + "; look at the failures, then raise the bound or cancel");
    status_.Set("Paused", ConditionStatus::kTrue, "FailureBudgetExceeded", exceeded);
    ShowActivity(stage, seen, 0, "Pause");
    if (seen.open) PauseLeases(stage);
    out_.observe_soon = seen.open.has_value();
    out_.settled = !seen.open && seen.pool.alive == 0;
  }

  // Two steps: first everything is wound down and the decision is durable in the report, then one
  // status write says so.
  void End(const ObservedStage& stage, const ledger::Totals& totals, ReportState result) {
    const bool failed = result == ReportState::kFailed;
    const bool adds_up = totals.counts.total() == b_.status.plan->records;
    const bool covered = totals.shards_done == totals.shards;
    status_.SetPhase(Phase::kRunning);
    Ready(ConditionStatus::kTrue, "Running");
    Reconciling("Draining",
                failed ? "it has failed; workers end" : "all records have an outcome; workers end");
    if (!WindDown(Stage::kRun, stage)) return;
    if (o_.report != result) {
      // Without a lease nobody has begun the report: nothing was there to do.
      if (o_.report == ReportState::kNone) {
        Do(CreateReport{});
      } else {
        Do(FinishReport{result});
      }
      out_.observe_soon = true;
      return;
    }
    status_.Clear("Reconciling");
    status_.ClearActivity();
    if (!failed) {
      const bool clean = totals.counts.failed == 0;
      const std::string message =
          clean ? "" : std::to_string(totals.counts.failed) + " records failed";
      status_.SetPhase(Phase::kCompleted);
      Ready(ConditionStatus::kTrue, "Completed", message);
      status_.Set("Succeeded", ConditionStatus::kTrue,
                  clean ? "Completed" : "CompletedWithFailures", message);
    } else {
      const bool mismatch = covered && !adds_up;
      const std::string reason = mismatch ? "VerificationFailed" : "FailureBudgetExceeded";
      const std::string message = mismatch
                                      ? "the outcomes do not add up to the plan"
                                      : ExceededBudget(totals).value_or("too many records failed");
      if (mismatch) status_.Set("Verified", ConditionStatus::kFalse, "AccountingMismatch", message);
      status_.SetPhase(Phase::kFailed);
      Stalled(reason, message);
      status_.Set("Succeeded", ConditionStatus::kFalse, reason, message);
    }
    out_.settled = true;
  }

  // A stage that has work left.
  void Active(Stage stage, const ObservedStage& seen, Phase phase, const std::string& reason) {
    const auto pause = FindPause(b_);
    status_.SetPhase(pause ? Phase::kPaused : phase);
    Ready(ConditionStatus::kTrue, pause ? "Paused" : reason, Waits(seen, pause.has_value()));
    const int replicas = std::min(b_.spec.workers.replicas, o_.max_replicas);

    if (seen.pool.config_error || seen.failures_since_session >= CrashLimit(replicas)) {
      if (seen.pool.config_error) {
        Stalled("WorkerConfigError", seen.pool.last_failure);
      } else {
        Stalled("WorkersUnavailable", "workers end before they connect: " + seen.pool.last_failure);
      }
      ShowActivity(stage, seen, 0, "Workers");
      if (seen.open) PauseLeases(stage);
      if (seen.pool.alive > 0 || seen.pool.desired > 0) Do(StopWorkers{stage});
      out_.observe_soon = true;
      return;
    }
    if (seen.open && seen.open->source_error &&
        seen.open->source_error->code == ErrorCode::kConflict) {
      // What was reviewed is not there any more. The stage stays open, since it knows that.
      status_.SetPhase(Phase::kPaused);
      Stalled("SourceChanged", seen.open->source_error->message);
      ShowActivity(stage, seen, 0, "Workers");
      PauseLeases(stage);
      if (seen.pool.alive > 0 || seen.pool.desired > 0) Do(StopWorkers{stage});
      out_.observe_soon = true;
      return;
    }
    if (seen.open && seen.opened_batch_size != b_.spec.workers.batch_size) {
      // Workers are told when the stage is opened, and leases are cut for it.
      Reconciling("ReplacingWorkers", "batchSize has changed; workers end and begin anew");
      ShowActivity(stage, seen, 0, "Workers");
      WindDown(stage, seen);
      return;
    }
    if (!seen.open) {
      if (pause) {
        status_.ClearActivity();
        out_.settled = seen.pool.alive == 0;
        if (!out_.settled) Do(StopWorkers{stage});
        return;
      }
      Do(OpenStage{stage});
    }
    const LiveSettings settings = Settings(stage);
    Do(ConfigureStage{stage, settings});
    Do(ScaleWorkers{stage, replicas});
    out_.observe_soon = true;

    ShowActivity(stage, seen, replicas, pause ? "Pause" : LimitedBy(seen, settings));
  }

  // All workers may be lost at once, so each has as many tries as one.
  [[nodiscard]] std::uint64_t CrashLimit(int replicas) const {
    return static_cast<std::uint64_t>(o_.crash_limit) *
           static_cast<std::uint64_t>(std::max(1, replicas));
  }

  // Why it may be slower than it could be; the worst comes first, since a message is cut.
  static std::string Waits(const ObservedStage& seen, bool paused) {
    if (!seen.open) return "";
    const StageSnapshot& open = *seen.open;
    std::string text;
    const auto add = [&text](const std::string& why) { text += (text.empty() ? "" : "; ") + why; };
    if (open.without_target > 0 && !paused) {
      const std::string who = std::to_string(open.without_target) + " of " +
                              std::to_string(open.working) + " workers cannot reach the target: ";
      add((NobodyReachesTheTarget(open) ? "the target cannot be reached: " : who) +
          open.target_trouble);
    }
    if (open.target_held_for && !paused) {
      add("the target asks to be left alone (Retry-After) for " + Seconds(*open.target_held_for));
    }
    if (open.frozen_shards > 0) {
      add(std::to_string(open.frozen_shards) +
          (open.frozen_shards == 1 ? " shard waits " : " shards wait ") +
          Seconds(open.frozen_for.value_or(0s)) + " for requests of lost workers to end");
    }
    return text;
  }

  // Those without a shard have not tried.
  static bool NobodyReachesTheTarget(const StageSnapshot& open) {
    return open.without_target > 0 && open.without_target >= open.working;
  }

  static std::string Seconds(Duration left) {
    return std::to_string(std::chrono::ceil<std::chrono::seconds>(left).count()) + " s";
  }

  static std::string LimitedBy(const ObservedStage& seen, const LiveSettings& settings) {
    if (!seen.open || seen.open->connected == 0) return "Workers";
    if (NobodyReachesTheTarget(*seen.open)) return "TargetUnreachable";
    if (seen.open->target_holds_back) return "TargetLatency";
    constexpr double kClose = 0.9;
    if (!settings.unlimited &&
        seen.open->attempts_per_second >= kClose * settings.records_per_second)
      return "Max";
    return "Workers";
  }

  void ShowActivity(Stage stage, const ObservedStage& seen, int desired,
                    std::string_view limited_by) {
    const LiveSettings settings = Settings(stage);
    status_.SetWorkers(desired, seen.open ? seen.open->connected : 0);
    status_.SetRate(seen.open ? seen.open->attempts_per_second : 0,
                    settings.unlimited ? 0 : settings.records_per_second, limited_by);
  }

  const Observed& o_;
  const api::Backfill& b_;
  const WallTime now_;
  StatusBuilder status_;
  Decision out_;
};

}  // namespace

Decision Decide(const Observed& observed, WallTime now) { return Deciding(observed, now).Run(); }

}  // namespace backfill::reconcile
