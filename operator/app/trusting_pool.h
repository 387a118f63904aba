#pragma once

#include <functional>
#include <string>

#include "operator/reconcile/worker_pool.h"

namespace backfill::app {

// A pool whose workers must be able to tell the coordinator from somebody else: before they are
// started, and each time they are looked after, their namespace is given the authorities to trust.
// Thread-safe, as the pool, which must outlive it.
class TrustingPool final : public reconcile::WorkerPool {
 public:
  using Publish = std::function<Status(const std::string& ns)>;
  TrustingPool(reconcile::WorkerPool& pool, Publish publish);

  Status Scale(const api::Backfill& backfill, reconcile::Stage stage, int replicas) override;
  Status Stop(const reconcile::StageKey& key) override;
  reconcile::PoolStatus Observe(const api::Backfill& backfill, reconcile::Stage stage) override;

 private:
  reconcile::WorkerPool& pool_;
  const Publish publish_;
};

}  // namespace backfill::app
