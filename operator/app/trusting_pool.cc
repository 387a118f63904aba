#include "operator/app/trusting_pool.h"

#include <utility>

namespace backfill::app {

TrustingPool::TrustingPool(reconcile::WorkerPool& pool, Publish publish)
    : pool_(pool), publish_(std::move(publish)) {}

Status TrustingPool::Scale(const api::Backfill& backfill, reconcile::Stage stage, int replicas) {
  if (replicas > 0) TRY(publish_(backfill.ns).Annotate("giving workers the CA bundle"));
  return pool_.Scale(backfill, stage, replicas);
}

Status TrustingPool::Stop(const reconcile::StageKey& key) { return pool_.Stop(key); }

reconcile::PoolStatus TrustingPool::Observe(const api::Backfill& backfill,
                                            reconcile::Stage stage) {
  return pool_.Observe(backfill, stage);
}

}  // namespace backfill::app
