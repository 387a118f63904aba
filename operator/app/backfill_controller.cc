#include "operator/app/backfill_controller.h"

#include <chrono>
#include <utility>

#include "operator/kube/object_store.h"

namespace backfill::app {

using kube::Outcome;

namespace {
constexpr Duration kLookAgain = std::chrono::seconds(1);
}  // namespace

BackfillController::BackfillController(reconcile::Reconciler& reconciler, BackfillObserver observer)
    : reconciler_(reconciler), observer_(std::move(observer)) {}

Outcome BackfillController::Reconcile(const kube::ObjectKey& key, kube::ReconcileContext& context) {
  if (observer_.may_begin && !observer_.may_begin()) return Outcome::AgainAfter(kLookAgain);
  if (const Status may = context.BeginCall(); !may.ok()) return Outcome::Failed(may.error());
  const auto done =
      reconciler_.Reconcile({std::string(kube::kBackfillKind), key.ns, key.name}, context.stop());
  if (!done.ok()) {
    // This process ends, or does not lead at this moment.
    if (done.error().code == ErrorCode::kAborted) return Outcome::AgainAfter(kLookAgain);
    if (done.error().code != ErrorCode::kNotFound) return Outcome::Failed(done.error());
    std::string uid;
    {
      MutexLock l(mu_);
      if (const auto it = uids_.find(key); it != uids_.end()) uid = std::move(it->second);
      uids_.erase(key);
    }
    if (observer_.on_gone) observer_.on_gone(key, uid);
    return Outcome::Done();
  }
  std::string before;
  {
    MutexLock l(mu_);
    before = std::exchange(uids_[key], done->backfill.uid);
  }
  // It was deleted and made again between two looks.
  if (!before.empty() && before != done->backfill.uid && observer_.on_gone)
    observer_.on_gone(key, before);
  if (observer_.on_seen) observer_.on_seen(done->backfill);
  // What failed is in the status, and has a back-off of its own.
  if (done->requeue_after > Duration::zero()) return Outcome::AgainAfter(done->requeue_after);
  return Outcome::Done();
}

}  // namespace backfill::app
