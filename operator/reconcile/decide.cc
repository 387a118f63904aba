#include "operator/reconcile/decide.h"

#include <algorithm>
#include <utility>

#include "operator/api/conditions.h"
#include "operator/reconcile/activity.h"
#include "operator/reconcile/deciding.h"
#include "operator/reconcile/failure_budget.h"

namespace backfill::reconcile {
namespace {

using api::ConditionStatus;
using api::Phase;

// The end stands in the report.
bool IsDecided(ReportState report) {
  return report == ReportState::kCompleted || report == ReportState::kFailed ||
         report == ReportState::kCancelled;
}
bool IsOurs(ReportState report) { return report == ReportState::kStarted || IsDecided(report); }

}  // namespace

Decision Deciding::Run() {
  if (b_.deleting()) return Deletion();
  if (api::HasEnded(b_.status)) return Ended();
  if (NamespaceGoes()) return WithNamespace();
  if (o_.invalid) return Invalid();
  if (o_.unseen) return Unseen();
  Baseline();
  (void)(WithoutFinalizer() || RefusedByReport() || NotPlanned() || LeadershipLost() ||
         LedgerDamaged() || DryRun() || RunWithoutReport() || RunStage());
  ShowPendingError();
  HoldBack();
  if (!status_.HasSucceededOrFailed()) status_.SetUndecided(b_.spec.dry_run);
  out_.status = status_.Take();
  return std::move(out_);
}

std::optional<Deciding::PauseCause> Deciding::FindPause() const {
  if (const auto it = b_.annotations.find(api::kPausedAnnotation); it != b_.annotations.end())
    return PauseCause{"AnnotationPaused", it->second};
  if (b_.spec.paused) return PauseCause{"SpecPaused", "spec.paused is true"};
  return std::nullopt;
}

ledger::Totals Deciding::TotalsOf(const ObservedStage& stage) {
  if (stage.open) return stage.open->totals;
  return stage.ledger ? stage.ledger->totals : ledger::Totals{};
}

void Deciding::Baseline() {
  const bool planned = b_.status.plan.has_value();
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
  const bool throttled = o_.throttle && !o_.throttle->throttled.empty();
  status_.Set("Throttled", throttled ? ConditionStatus::kTrue : ConditionStatus::kFalse,
              throttled ? o_.throttle->throttled : "NotThrottled",
              throttled ? o_.throttle->message : "");
  if (o_.throttle) status_.SetThrottle(o_.throttle->status);
  status_.Set("Verified", ConditionStatus::kUnknown, "NotRequested");
  const auto pause = FindPause();
  status_.Set("Paused", pause ? ConditionStatus::kTrue : ConditionStatus::kFalse,
              pause ? pause->reason : "NotPaused", pause ? pause->message : "");
  status_.Clear("Reconciling");
  status_.Clear("Stalled");
  // From what is there, not from who made it: a crash may have come between the two writes.
  if (IsOurs(o_.report)) status_.SetReport(ReportName());
  ClosedProgress();
}

void Deciding::ClosedProgress() {
  const ObservedStage& stage = StageInUse();
  if (stage.open) {
    status_.SetProgress(stage.open->totals);
  } else if (stage.ledger) {
    status_.SetProgress(stage.ledger->totals);
  }
}

void Deciding::Ready(ConditionStatus value, std::string_view reason, std::string_view message) {
  status_.Set("Ready", value, reason, message);
}
void Deciding::Reconciling(std::string_view reason, std::string_view message) {
  status_.Clear("Stalled");
  status_.Set("Reconciling", ConditionStatus::kTrue, reason, message);
}
void Deciding::Stalled(std::string_view reason, std::string_view message) {
  status_.Clear("Reconciling");
  status_.Set("Stalled", ConditionStatus::kTrue, reason, message);
  Ready(ConditionStatus::kFalse, reason, message);
}

bool Deciding::WindDown(Stage stage, const ObservedStage& seen) {
  if (!seen.open && seen.pool.alive == 0 && !seen.pool.remains) return true;
  if (seen.open && seen.pool.alive > 0) PauseLeases(stage);
  if (seen.pool.alive > 0 || seen.pool.desired > 0 || seen.pool.remains) Do(StopWorkers{stage});
  if (seen.open && seen.pool.alive == 0) Do(CloseStage{stage});
  out_.observe_soon = true;
  return false;
}

bool Deciding::WindDownAll() {
  const bool planning = WindDownPlanning();
  const bool dry_run = WindDown(Stage::kDryRun, o_.dry_run);
  const bool run = WindDown(Stage::kRun, o_.run);
  return planning && dry_run && run;
}

void Deciding::PauseLeases(Stage stage) {
  LiveSettings settings = Settings(stage);
  settings.paused = true;
  Do(ConfigureStage{stage, settings});
}

LiveSettings Deciding::Settings(Stage stage) const {
  LiveSettings s;
  s.paused = FindPause().has_value();
  s.concurrency = b_.spec.workers.concurrency;
  s.attempts = b_.spec.failure_policy.attempts;
  s.retry_budget_percent = b_.spec.throttle.worker.retry_budget_percent;
  s.records_per_second = static_cast<double>(b_.spec.throttle.max_records_per_second.value_or(0));
  // A dry run that sends nothing needs no limit; one with a request of its own has to declare a
  // rate.
  s.unlimited = stage == Stage::kDryRun && !b_.spec.target.dry_run;
  if (o_.throttle && !s.unlimited) {
    s.records_per_second = o_.throttle->rate;
    s.pressure = o_.throttle->pressure;
    s.latency_headroom = o_.throttle->latency_headroom;
    s.grants = o_.throttle->grants;
    s.partitions = o_.throttle->partitions;
  }
  return s;
}

// ---- the cases

Decision Deciding::Ended() {
  status_.Restamp();
  out_.settled = WindDownAll();
  out_.observe_soon = !out_.settled;
  out_.status = status_.Take();
  return std::move(out_);
}

// What runs on the spec as it was before stops where it is.
Decision Deciding::Invalid() {
  status_.Restamp();
  status_.FillUp();
  Stalled("InvalidSpec", o_.invalid->message);
  const bool runs = o_.dry_run.open || o_.run.open;
  if (o_.dry_run.open) PauseLeases(Stage::kDryRun);
  if (o_.run.open) PauseLeases(Stage::kRun);
  (void)WindDownPlanning();
  if (runs) status_.SetPhase(Phase::kPaused);
  if (!b_.status.phase) status_.SetPhase(Phase::kPending);
  status_.ClearActivity();
  out_.settled = !runs;
  out_.status = status_.Take();
  return std::move(out_);
}

// Whatever runs goes on as it was told, unless a person or its failures say that it must not.
Decision Deciding::Unseen() {
  status_.Restamp();
  status_.FillUp();
  if (!b_.status.phase) status_.SetPhase(Phase::kPending);
  for (const auto& [stage, seen] :
       {std::pair(Stage::kDryRun, &o_.dry_run), std::pair(Stage::kRun, &o_.run)}) {
    if (!seen->open) continue;
    const bool sends = stage == Stage::kRun || b_.spec.target.dry_run;
    if (FindPause() || (sends && b_.status.plan && ExceededBudget(seen->open->totals)))
      PauseLeases(stage);
  }
  ShowPendingError();
  out_.status = status_.Take();
  return std::move(out_);
}

bool Deciding::WithoutFinalizer() {
  if (!o_.needs_finalizer || HasFinalizer()) return false;
  status_.SetPhase(b_.status.phase.value_or(Phase::kPending));
  Ready(ConditionStatus::kUnknown, "Pending");
  Reconciling("Planning", "it has just been seen");
  Do(AddFinalizer{});
  return true;
}

bool Deciding::RefusedByReport() {
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
  out_.settled = WindDownAll();
  return true;
}

bool Deciding::LeadershipLost() {
  for (const ObservedStage* stage : {&o_.dry_run, &o_.run}) {
    if (!stage->open || !stage->open->error || stage->open->error->code != ErrorCode::kConflict)
      continue;
    Ready(ConditionStatus::kFalse, "LeadershipLost", stage->open->error->message);
    Reconciling("Draining", "another leader has taken over; workers end");
    out_.settled = WindDownAll();
    return true;
  }
  return false;
}

bool Deciding::LedgerDamaged() {
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
  out_.settled = WindDownAll();
  return true;
}

bool Deciding::DryRun() {
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

bool Deciding::RunWithoutReport() {
  if (o_.report != ReportState::kNone) return false;
  if (WaitsForMetrics(o_.run)) {
    WaitForMetrics();
    return true;
  }
  if (const auto pause = FindPause(); pause && !o_.run.open)
    return false;  // nothing begins while paused
  status_.SetPhase(Phase::kRunning);
  Ready(ConditionStatus::kTrue, "Running");
  Do(CreateReport{});
  out_.observe_soon = true;
  return true;
}

bool Deciding::RunStage() {
  const ObservedStage& stage = o_.run;
  const ledger::Totals totals = TotalsOf(stage);
  if (IsDecided(o_.report)) {
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

std::optional<std::string> Deciding::ExceededBudget(const ledger::Totals& totals) const {
  return FailureBudgetExceeded(b_.spec.failure_policy, totals.counts.failed,
                               b_.status.plan->records);
}

void Deciding::PauseForFailures(Stage stage, const ObservedStage& seen,
                                const std::string& exceeded) {
  status_.SetPhase(Phase::kPaused);
  Stalled("FailureBudgetExceeded",
          exceeded + "; look at the failures, then raise the bound or cancel");
  status_.Set("Paused", ConditionStatus::kTrue, "FailureBudgetExceeded", exceeded);
  ShowActivity(stage, seen, 0, "Pause");
  if (seen.open) PauseLeases(stage);
  // Those that an earlier leader left wait for somebody who serves them.
  if (!seen.open && seen.pool.alive > 0) Do(StopWorkers{stage});
  out_.observe_soon = seen.open.has_value();
  out_.settled = !seen.open && seen.pool.alive == 0;
}

void Deciding::End(const ObservedStage& stage, const ledger::Totals& totals, ReportState result) {
  const bool failed = result == ReportState::kFailed;
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
  SayTheEnd(totals, result);
  out_.settled = true;
}

void Deciding::SayTheEnd(const ledger::Totals& totals, ReportState result) {
  const std::uint64_t planned = b_.status.plan ? b_.status.plan->records : 0;
  const bool covered = totals.shards_done == totals.shards;
  status_.ClearActivity();
  status_.SetThrottle(std::nullopt);
  if (result == ReportState::kCancelled) {
    status_.SetPhase(Phase::kCancelled);
    status_.Set("Succeeded", ConditionStatus::kFalse, "Cancelled", "deleted before its end");
  } else if (result == ReportState::kCompleted) {
    const bool clean = totals.counts.failed == 0;
    const std::string message =
        clean ? "" : std::to_string(totals.counts.failed) + " records failed";
    status_.SetPhase(Phase::kCompleted);
    Ready(ConditionStatus::kTrue, "Completed", message);
    status_.Set("Succeeded", ConditionStatus::kTrue, clean ? "Completed" : "CompletedWithFailures",
                message);
  } else {
    const bool mismatch = covered && totals.counts.total() != planned;
    const std::string reason = mismatch ? "VerificationFailed" : "FailureBudgetExceeded";
    const std::string message = mismatch
                                    ? "the outcomes do not add up to the plan"
                                    : ExceededBudget(totals).value_or("too many records failed");
    if (mismatch) status_.Set("Verified", ConditionStatus::kFalse, "AccountingMismatch", message);
    status_.SetPhase(Phase::kFailed);
    Stalled(reason, message);
    status_.Set("Succeeded", ConditionStatus::kFalse, reason, message);
  }
}

void Deciding::Active(Stage stage, const ObservedStage& seen, Phase phase,
                      const std::string& reason) {
  const auto pause = FindPause();
  status_.SetPhase(pause ? Phase::kPaused : phase);
  if (o_.throttle_error) return WithoutGovernor(stage, seen);
  if (!pause && WaitsForMetrics(seen)) {
    if (seen.open) PauseLeases(stage);
    return WaitForMetrics();
  }
  Ready(ConditionStatus::kTrue, pause ? "Paused" : reason, WhyItRests(seen, pause.has_value()));
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
    // Workers of a cluster that are there go on waiting under another leader.
    const bool taken_over = o_.needs_finalizer && seen.pool.alive > 0;
    if (pause && !taken_over) {
      status_.ClearActivity();
      out_.settled = seen.pool.alive == 0;
      if (!out_.settled) Do(StopWorkers{stage});
      return;
    }
    Do(OpenStage{stage});
  }
  const LiveSettings settings = Settings(stage);
  Do(ConfigureStage{stage, settings});
  // Who waits for long keeps no quota; they are had again as soon as it goes on.
  Do(ScaleWorkers{stage, IsIdle() ? 0 : replicas});
  if (seen.pool.replacing)
    Reconciling("ReplacingWorkers", "workers end, and begin anew as the template says now");
  out_.observe_soon = true;

  ShowActivity(stage, seen, replicas, WhatLimitsIt(seen, settings, pause.has_value()));
  AskForAPerson(pause ? pause->message : "");
}

std::uint64_t Deciding::CrashLimit(int replicas) const {
  return static_cast<std::uint64_t>(o_.crash_limit) *
         static_cast<std::uint64_t>(std::max(1, replicas));
}

void Deciding::ShowActivity(Stage stage, const ObservedStage& seen, int desired,
                            std::string_view limited_by) {
  const LiveSettings settings = Settings(stage);
  status_.SetWorkers(desired, seen.open ? seen.open->connected : 0);
  status_.SetRate(seen.open ? seen.open->attempts_per_second : 0,
                  settings.unlimited ? 0 : settings.records_per_second, limited_by);
}

bool UnderWay(const Observed& o) {
  return o.dry_run.open || o.run.open || o.planning.open || o.dry_run.pool.alive > 0 ||
         o.run.pool.alive > 0 || o.planning.pool.alive > 0;
}

bool ChangesLedgers(const Action& action) {
  return std::holds_alternative<MakePlan>(action) || std::holds_alternative<OpenStage>(action) ||
         std::holds_alternative<CloseStage>(action);
}

bool ChangesTheObject(const Action& action) {
  return std::holds_alternative<AddFinalizer>(action) ||
         std::holds_alternative<PauseForPerson>(action);
}

Decision Decide(const Observed& observed, WallTime now) { return Deciding(observed, now).Run(); }

}  // namespace backfill::reconcile
