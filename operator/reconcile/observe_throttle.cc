#include "operator/reconcile/observe_throttle.h"

#include <utility>

#include "operator/api/conditions.h"

namespace backfill::reconcile {

void ReleaseThrottle(const api::Backfill& backfill, ThrottleGroups& groups,
                     const ReconcilerOptions& options, const Clock& clock) {
  groups.Leave(backfill.uid, clock.Steady());
  if (options.budgets != nullptr) options.budgets->Forget(backfill.uid);
  if (options.throttle_watcher != nullptr) options.throttle_watcher->Released(backfill);
}

void ObserveThrottle(Observed& observed, Throttling& throttling, ThrottleGroups& groups,
                     const ReconcilerOptions& options, const Clock& clock) {
  groups.Begin(clock.Steady());
  const api::Backfill& b = observed.backfill;
  const bool sends = !b.spec.dry_run || b.spec.target.dry_run.has_value();
  const bool ends = b.deleting() || api::HasEnded(b.status) || (b.spec.dry_run && b.status.dry_run);
  if (!sends || ends || observed.invalid || !b.status.plan)
    return ReleaseThrottle(b, groups, options, clock);
  const ObservedStage& stage = b.spec.dry_run ? observed.dry_run : observed.run;
  Throttling::Seen seen{.backfill = b,
                        .observations = {},
                        .log = options.decisions,
                        .watcher = options.throttle_watcher,
                        .groups = &groups,
                        .look_now = options.look_now};
  if (stage.open) seen.open = &*stage.open;
  seen.asked_for_glass = options.asked_for_glass;
  seen.begun = stage.ledger && stage.ledger->totals.counts.total() > 0;
  seen.paused = b.spec.paused || b.annotations.contains(api::kPausedAnnotation);
  if (options.budgets != nullptr) {
    const Status watched = options.budgets->Watch(b);
    if (!watched.ok()) {
      groups.Leave(b.uid, clock.Steady());
      observed.throttle_error = watched.error();
      return;
    }
    seen.observations = options.budgets->Latest(b.uid);
    seen.partitions = options.budgets->LatestPartitions(b.uid);
  }
  auto view = throttling.Step(seen, clock.Steady(), clock.Wall());
  if (view.ok()) {
    observed.throttle = std::move(view).value();
  } else {
    // It pauses, and others need not wait for it.
    groups.Leave(b.uid, clock.Steady());
    observed.throttle_error = view.error();
  }
}

}  // namespace backfill::reconcile
