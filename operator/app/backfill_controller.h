#pragma once

#include <functional>

#include "operator/kube/runtime/reconciler.h"
#include "operator/reconcile/reconciler.h"

namespace backfill::app {

// Told by the threads of the controller; must return at once.
struct BackfillObserver {
  std::function<bool()> may_begin = {};  // false: nothing is done yet, look again later
  std::function<void(const api::Backfill&)> on_seen;         // after each reconcile
  std::function<void(const kube::ObjectKey&)> on_gone = {};  // the object is no more
};

// What a queue of names has to do with reconcile::Reconciler. Called by several threads, for one
// name by one at a time.
class BackfillController final : public kube::Reconciler {
 public:
  // `reconciler` must outlive it.
  BackfillController(reconcile::Reconciler& reconciler, BackfillObserver observer);

  kube::Outcome Reconcile(const kube::ObjectKey& key, kube::ReconcileContext& context) override;

 private:
  reconcile::Reconciler& reconciler_;
  const BackfillObserver observer_;
};

}  // namespace backfill::app
