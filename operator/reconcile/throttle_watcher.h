#pragma once

#include <functional>
#include <string>

#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"
#include "operator/throttle/governor.h"

namespace backfill::reconcile {

// That Backfill should take a step now. Thread-safe; must return at once.
using LookNow = std::function<void(const std::string& ns, const std::string& name)>;

// Told of what governors decide. Thread-safe; must return at once.
class ThrottleWatcher {
 public:
  virtual ~ThrottleWatcher() = default;

  // `decision` was made for that Backfill just now, with these options.
  virtual void Decided(const api::Backfill& backfill, const throttle::GovernorOptions& options,
                       const throttle::Decision& decision) = 0;
  // Likewise, after that: what each partition of the target may be sent; empty where it has none.
  virtual void DecidedByPartition(const api::Backfill& /*backfill*/,
                                  const PartitionRates& /*rates*/) {}
  // It has no rate to be decided any more: nothing of it sends to the target, or it is gone.
  virtual void Released(const api::Backfill& backfill) = 0;
};

}  // namespace backfill::reconcile
