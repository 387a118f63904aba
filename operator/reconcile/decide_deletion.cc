#include <algorithm>
#include <utility>

#include "operator/api/conditions.h"
#include "operator/reconcile/deciding.h"
#include "operator/reconcile/events.h"

// The last part of an object's life, while our finalizer keeps it: leases stop and workers end, the
// ledger is closed, the report is completed, the status says so, it goes. Each wait has an end, as
// an object that cannot be deleted holds up a whole namespace.
namespace backfill::reconcile {

using api::ConditionStatus;
using api::Phase;

bool Deciding::HasFinalizer() const {
  return std::ranges::find(b_.finalizers, api::kDrainFinalizer) != b_.finalizers.end();
}

bool Deciding::ForcesDeletion() const {
  const auto it = b_.annotations.find(api::kForceDeleteAnnotation);
  return it != b_.annotations.end() && it->second == "true";
}

bool Deciding::WindDownInTime(Stage stage, const ObservedStage& seen) {
  const bool alive = seen.pool.alive > 0;
  if (!seen.open && !alive && !seen.pool.remains) return true;
  const bool late = ForcesDeletion() || o_.deleting_for >= kDrainTime;
  if (seen.open && alive) PauseLeases(stage);
  // First what needs no answer of theirs: a refusal ends the list.
  if (seen.open && (late || !alive)) Do(CloseStage{stage});
  if (alive || seen.pool.desired > 0 || seen.pool.remains) Do(StopWorkers{stage});
  const bool lapsed = ForcesDeletion() || o_.deleting_for >= kDrainTime + kLeasesLapse;
  return lapsed && (!seen.open || ForcesDeletion());
}

bool Deciding::NamespaceGoes() const {
  return o_.planning.pool.namespace_goes || o_.dry_run.pool.namespace_goes ||
         o_.run.pool.namespace_goes;
}

// It is deleted when its pods are gone, which wait for us.
Decision Deciding::WithNamespace() {
  status_.Restamp();
  status_.FillUp();
  Reconciling("Deleting", "its namespace is being deleted; workers end");
  if (!b_.status.phase) status_.SetPhase(Phase::kPending);
  status_.ClearActivity();
  out_.settled = WindDownAll();
  out_.status = status_.Take();
  return std::move(out_);
}

bool Deciding::ReportIsComplete() {
  if (o_.report != ReportState::kStarted) return true;
  // Somebody has taken it away, or keeps it from being written: that is no reason to stay for ever.
  if (o_.last_error && (ForcesDeletion() || o_.deleting_for >= kDrainTime)) return true;
  Do(FinishReport{ReportState::kCancelled});
  return false;
}

Decision Deciding::Deletion() {
  status_.Restamp();
  status_.FillUp();
  const bool workers =
      o_.dry_run.pool.alive > 0 || o_.run.pool.alive > 0 || o_.planning.pool.alive > 0;
  const bool late = o_.deleting_for >= kDrainTime && workers;
  Reconciling("Deleting", late ? kDrainTimedOut
                               : "it is being deleted; workers end, then the report is completed");
  if (!b_.status.phase) status_.SetPhase(Phase::kPending);
  const ObservedStage& stage = StageInUse();
  const ledger::Totals totals = TotalsOf(stage);
  const bool ended = api::HasEnded(b_.status);
  const bool decided = o_.report == ReportState::kCompleted || o_.report == ReportState::kFailed;
  if (!ended && (stage.open || stage.ledger)) status_.SetProgress(totals);

  const bool dry_run = WindDownInTime(Stage::kDryRun, o_.dry_run);
  const bool run = WindDownInTime(Stage::kRun, o_.run);
  // Who plans sends nothing, so there is no lease of it to wait for.
  const bool planning = WindDownPlanning() || o_.deleting_for >= kDrainTime;
  // With force all of it at once, and what fails is left as it is.
  const bool seen = !o_.unseen || o_.deleting_for >= kDrainTime;
  const bool reported = (planning && dry_run && run) && (ended || (seen && ReportIsComplete()));
  const bool over = reported || ForcesDeletion();
  if (over) {
    if (o_.last_error) out_.actions.clear();
    if (!ended) SayTheEnd(totals, decided ? o_.report : ReportState::kCancelled);
    out_.remove_finalizer = HasFinalizer();
  }
  out_.settled = over;
  out_.observe_soon = !over;
  out_.status = status_.Take();
  return std::move(out_);
}

}  // namespace backfill::reconcile
