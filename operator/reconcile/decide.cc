#include "operator/reconcile/decide.h"

#include <algorithm>
#include <utility>

#include "operator/reconcile/status_builder.h"

namespace backfill::reconcile {
namespace {

using api::ConditionStatus;
using api::Phase;

const api::Condition* FindCondition(const api::Status& status, std::string_view type) {
  const auto it = std::find_if(status.conditions.begin(), status.conditions.end(),
                               [&](const api::Condition& c) { return c.type == type; });
  return it == status.conditions.end() ? nullptr : &*it;
}

bool HasEnded(const api::Status& status) {
  const api::Condition* succeeded = FindCondition(status, "Succeeded");
  return succeeded != nullptr && succeeded->status != ConditionStatus::kUnknown;
}

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

// "0.1" with up to six decimals in millionths: exact, no floating point decides the end of a run.
__extension__ using Wide = unsigned __int128;
Wide ParseMillionths(const std::string& decimal) {
  Wide value = 0;
  int decimals = -1;
  for (const char c : decimal) {
    if (c == '.') {
      decimals = 0;
      continue;
    }
    if (decimals == 6) break;
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (decimals >= 0) ++decimals;
  }
  for (decimals = std::max(decimals, 0); decimals < 6; ++decimals) value *= 10;
  return value;
}

// One call of Decide(): collects actions and conditions while the cases are gone through from the
// most to the least binding. Each Case...() returns true when it has decided.
class Deciding {
 public:
  Deciding(const Observed& observed, WallTime now)
      : o_(observed), b_(observed.backfill), status_(observed.backfill, now) {}

  Decision Run() {
    if (HasEnded(b_.status)) return Ended();
    Baseline();
    if (RefusedByReport() || NotPlanned() || LeadershipLost() || LedgerDamaged() || DryRun() ||
        RunWithoutReport() || RunStage()) {
      out_.status = status_.Take();
    }
    return std::move(out_);
  }

 private:
  void Do(Action action) { out_.actions.push_back(std::move(action)); }

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
    ClosedProgress();
  }

  // Progress as the ledger has it, for as long as no stage is open.
  void ClosedProgress() {
    const ObservedStage& stage = b_.spec.dry_run ? o_.dry_run : o_.run;
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
    out_.reason = std::string(reason);
  }

  Decision Ended() {
    out_.status = b_.status;
    out_.status.observed_generation = b_.generation;
    const bool wound_down = WindDownBoth();
    out_.settled = wound_down;
    out_.observe_soon = !wound_down;
    out_.reason = "ended";
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

  LiveSettings Settings(Stage stage) const {
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
    const std::string report = b_.name + "-report";
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
    if (o_.last_error) Ready(ConditionStatus::kFalse, "SourceUnavailable", o_.last_error->message);
    Do(MakePlan{});
    out_.observe_soon = true;
    out_.reason = "no plan yet";
    return true;
  }

  // Another leader has written the ledger: nothing that this one knows counts any more.
  bool LeadershipLost() {
    for (const ObservedStage* stage : {&o_.dry_run, &o_.run}) {
      if (!stage->open || !stage->open->error || stage->open->error->code != ErrorCode::kConflict)
        continue;
      Ready(ConditionStatus::kFalse, "LeadershipLost", stage->open->error->message);
      out_.reason = "another leader writes the ledger";
      out_.settled = WindDownBoth();
      return true;
    }
    return false;
  }

  bool LedgerDamaged() {
    std::string damage;
    for (const ObservedStage* stage : {&o_.run, &o_.dry_run}) {
      if (stage->ledger_error && stage->ledger_error->code == ErrorCode::kInternal)
        damage = stage->ledger_error->message;
      if (stage->open && stage->open->error && stage->open->error->code == ErrorCode::kInternal)
        damage = stage->open->error->message;
      if (stage->ledger && stage->ledger->plan_hash != b_.status.plan->hash)
        damage = "the ledger belongs to plan " + stage->ledger->plan_hash;
    }
    // The plan is in the status, so its ledger was durable once.
    if (damage.empty() && !o_.run.ledger && !o_.run.ledger_error && !o_.run.open)
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
      out_.reason = "dry run turned off while it ran";
      return true;
    }
    const ObservedStage& stage = o_.dry_run;
    if (b_.status.dry_run) {  // done
      status_.SetPhase(Phase::kAwaitingApproval);
      status_.ClearActivity();
      Ready(ConditionStatus::kTrue, "DryRunCompleted");
      out_.settled = WindDown(Stage::kDryRun, stage);
      out_.reason = "dry run done";
      return true;
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
      out_.reason = "dry run covers the plan";
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
    if (o_.last_error) Ready(ConditionStatus::kFalse, "StoreUnavailable", o_.last_error->message);
    Do(CreateReport{});
    out_.observe_soon = true;
    out_.reason = "the report comes before the first lease";
    return true;
  }

  bool RunStage() {
    const ObservedStage& stage = o_.run;
    status_.Set("Succeeded", ConditionStatus::kUnknown, "Running");
    const ledger::Totals totals = stage.open     ? stage.open->totals
                                  : stage.ledger ? stage.ledger->totals
                                                 : ledger::Totals{};

    if (o_.report == ReportState::kCompleted || o_.report == ReportState::kFailed) {
      End(stage, totals, o_.report);  // decided earlier; the decision does not change
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
    if (const auto exceeded = FailureBudgetExceeded(b_.spec.failure_policy, totals.counts.failed,
                                                    b_.status.plan->records)) {
      BudgetExceeded(stage, totals, *exceeded);
      return true;
    }
    Active(Stage::kRun, stage, Phase::kRunning, "Running");
    return true;
  }

  void BudgetExceeded(const ObservedStage& stage, const ledger::Totals& totals,
                      const std::string& exceeded) {
    if (b_.spec.failure_policy.on_exceeded == api::OnExceeded::kFail) {
      End(stage, totals, ReportState::kFailed);
      return;
    }
    status_.SetPhase(Phase::kPaused);
    Stalled("FailureBudgetExceeded",
            exceeded + "; look at the failures, then raise the bound or cancel");
    status_.Set("Paused", ConditionStatus::kTrue, "FailureBudgetExceeded", exceeded);
    ShowActivity(stage, 0, "Pause");
    if (stage.open) PauseLeases(Stage::kRun);
    out_.observe_soon = stage.open.has_value();
    out_.settled = !stage.open && stage.pool.alive == 0;
  }

  // Two steps: first everything is wound down and the decision is durable in the report, then one
  // status write says so.
  void End(const ObservedStage& stage, const ledger::Totals& totals, ReportState result) {
    const bool failed = result == ReportState::kFailed;
    const bool adds_up = totals.counts.total() == b_.status.plan->records;
    const bool covered = totals.shards_done == totals.shards;
    const auto exceeded = FailureBudgetExceeded(b_.spec.failure_policy, totals.counts.failed,
                                                b_.status.plan->records);
    status_.SetPhase(Phase::kRunning);
    Ready(ConditionStatus::kTrue, "Running");
    Reconciling("Draining",
                failed ? "it has failed; workers end" : "all records have an outcome; workers end");
    out_.reason = failed ? "failed" : "covered";
    if (!WindDown(Stage::kRun, stage)) return;
    if (o_.report != result) {
      Do(FinishReport{result});
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
      const std::string message = mismatch ? "the outcomes do not add up to the plan"
                                           : exceeded.value_or("too many records failed");
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
    Ready(ConditionStatus::kTrue, pause ? "Paused" : reason);
    out_.reason = pause ? pause->reason : reason;
    const int replicas = std::min(b_.spec.workers.replicas, o_.max_replicas);

    if (seen.pool.config_error ||
        seen.failures_since_session >= static_cast<std::uint64_t>(o_.crash_limit)) {
      if (seen.pool.config_error) {
        Stalled("WorkerConfigError", seen.pool.last_failure);
      } else {
        Stalled("WorkersUnavailable", "workers end before they connect: " + seen.pool.last_failure);
      }
      ShowActivity(seen, 0, "Workers");
      if (seen.open) PauseLeases(stage);
      if (seen.pool.alive > 0 || seen.pool.desired > 0) Do(StopWorkers{stage});
      out_.observe_soon = true;
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

    ShowActivity(seen, replicas, pause ? "Pause" : LimitedBy(seen, settings));
    const std::optional<Error>& error =
        seen.open && seen.open->error ? seen.open->error : o_.last_error;
    if (error) Ready(ConditionStatus::kFalse, "StoreUnavailable", error->message);
  }

  static std::string LimitedBy(const ObservedStage& seen, const LiveSettings& settings) {
    if (!seen.open || seen.open->connected == 0) return "Workers";
    if (seen.open->target_holds_back) return "TargetLatency";
    constexpr double kClose = 0.9;
    if (!settings.unlimited &&
        seen.open->attempts_per_second >= kClose * settings.records_per_second)
      return "Max";
    return "Workers";
  }

  void ShowActivity(const ObservedStage& seen, int desired, std::string_view limited_by) {
    const double limit = static_cast<double>(b_.spec.throttle.max_records_per_second.value_or(0));
    status_.SetWorkers(desired, seen.open ? seen.open->connected : 0);
    status_.SetRate(seen.open ? seen.open->attempts_per_second : 0, limit, limited_by);
  }

  const Observed& o_;
  const api::Backfill& b_;
  StatusBuilder status_;
  Decision out_;
};

}  // namespace

std::optional<std::string> FailureBudgetExceeded(const api::FailurePolicy& policy,
                                                 std::uint64_t failed, std::uint64_t planned) {
  if (failed > static_cast<std::uint64_t>(policy.max_failed_records))
    return std::to_string(failed) + " records failed, over maxFailedRecords " +
           std::to_string(policy.max_failed_records);
  constexpr Wide kPercent = 100, kMillion = 1'000'000;
  if (Wide{failed} * kPercent * kMillion >
      ParseMillionths(policy.max_failed_percent) * Wide{planned})
    return std::to_string(failed) + " of " + std::to_string(planned) +
           " records failed, over maxFailedPercent " + policy.max_failed_percent;
  return std::nullopt;
}

Decision Decide(const Observed& observed, WallTime now) { return Deciding(observed, now).Run(); }

}  // namespace backfill::reconcile
