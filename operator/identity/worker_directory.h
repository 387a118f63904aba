#pragma once

#include <optional>

#include "operator/coordinator/authenticator.h"
#include "operator/identity/pod_claim.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/api_client.h"

namespace backfill::identity {

// Whose worker a pod is: that pod, by its uid, is controlled by a Job that is controlled by a
// Backfill and has the name that such a Job has; stage and pool are the Job's, the index is the
// pod's. Looks into the caches, and asks the API server for what they do not have (yet).
//
// Thread-safe. The references must outlive it. `pods` has Pod objects, `jobs` has Job objects
// (operator/kube/cache/kinds.h), of `backfills` only metadata is read.
class WorkerDirectory {
 public:
  WorkerDirectory(const kube::ObjectCache& pods, const kube::ObjectCache& jobs,
                  const kube::ObjectCache& backfills, const kube::ApiClient& client)
      : pods_(pods), jobs_(jobs), backfills_(backfills), client_(client) {}

  using Found = Result<coordinator::WorkerIdentity, Refused>;
  // Does not block. nullopt: the caches cannot tell.
  [[nodiscard]] std::optional<Found> FindCached(const PodClaim& claim) const;
  // Up to three calls.
  [[nodiscard]] Found Find(const PodClaim& claim, const kube::CallLimits& limits) const;

 private:
  template <typename Lookup>
  Found FindBy(const PodClaim& claim, const Lookup& lookup) const;

  const kube::ObjectCache& pods_;
  const kube::ObjectCache& jobs_;
  const kube::ObjectCache& backfills_;
  const kube::ApiClient& client_;
};

}  // namespace backfill::identity
