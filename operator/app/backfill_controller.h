#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/mutex.h"
#include "operator/kube/runtime/reconciler.h"
#include "operator/reconcile/reconciler.h"

namespace backfill::app {

// Told by the threads of the controller; must return at once.
struct BackfillObserver {
  std::function<bool()> may_begin = {};  // false: nothing is done yet, look again later
  std::function<void(const api::Backfill&)> on_seen = {};  // after each reconcile
  // The object is no more; `uid` is empty if it was never seen.
  std::function<void(const kube::ObjectKey&, const std::string& uid)> on_gone = {};
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
  Mutex mu_;
  std::map<kube::ObjectKey, std::string> uids_ GUARDED_BY(mu_);  // of what was seen and is not gone
};

}  // namespace backfill::app
