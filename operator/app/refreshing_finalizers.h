#pragma once

#include "operator/kube/cached_store.h"
#include "operator/reconcile/finalizers.h"

namespace backfill::app {

// Finalizers are changed past the store that the reconciler reads from: what they have changed is
// read before anything is decided on it (R21). Thread-safe; both must outlive it.
class RefreshingFinalizers final : public reconcile::Finalizers {
 public:
  RefreshingFinalizers(reconcile::Finalizers& finalizers, kube::CachedStore& store)
      : finalizers_(finalizers), store_(store) {}

  Status Add(const api::Backfill& backfill) override;
  Status Remove(const api::Backfill& backfill) override;
  Status Pause(const api::Backfill& backfill, const std::string& reason) override;

 private:
  reconcile::Finalizers& finalizers_;
  kube::CachedStore& store_;
};

}  // namespace backfill::app
