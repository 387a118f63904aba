#include "operator/reconcile/observe_throttle.h"

#include <utility>

#include "operator/api/conditions.h"

namespace backfill::reconcile {

void ObserveThrottle(Observed& observed, Throttling& throttling, BudgetReadings* readings,
                     const Clock& clock) {
  const api::Backfill& b = observed.backfill;
  const bool sends = !b.spec.dry_run || b.spec.target.dry_run.has_value();
  const bool ends = b.deleting() || api::HasEnded(b.status) || (b.spec.dry_run && b.status.dry_run);
  if (!sends || ends || observed.invalid || !b.status.plan) {
    if (readings != nullptr) readings->Forget(b.uid);
    return;
  }
  const ObservedStage& stage = b.spec.dry_run ? observed.dry_run : observed.run;
  Throttling::Seen seen{.backfill = b, .observations = {}};
  if (stage.open) seen.open = &*stage.open;
  seen.begun = stage.ledger && stage.ledger->totals.counts.total() > 0;
  seen.paused = b.spec.paused || b.annotations.contains(api::kPausedAnnotation);
  if (readings != nullptr) {
    const Status watched = readings->Watch(b);
    if (!watched.ok()) {
      observed.throttle_error = watched.error();
      return;
    }
    seen.observations = readings->Latest(b.uid);
  }
  auto view = throttling.Step(seen, clock.Steady(), clock.Wall());
  if (view.ok()) {
    observed.throttle = std::move(view).value();
  } else {
    observed.throttle_error = view.error();
  }
}

}  // namespace backfill::reconcile
