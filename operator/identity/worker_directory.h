#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "operator/coordinator/authenticator.h"
#include "operator/identity/pod_claim.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/api_client.h"

namespace backfill::identity {

// Whose worker a pod is: that pod, by its uid, is controlled by a Job that is controlled by a
// Backfill and has the name that such a Job has; stage and pool are the Job's, the index is the
// pod's. Looks into the caches, and asks the API server for what they do not have (yet).
//
// Thread-safe. What it refers to must outlive it.
class WorkerDirectory {
 public:
  // Of all namespaces or of one: `pods` has Pod objects, `jobs` has Job objects
  // (operator/kube/cache/kinds.h), of `backfills` only metadata is read.
  struct Caches {
    const kube::ObjectCache* pods = nullptr;
    const kube::ObjectCache* jobs = nullptr;
    const kube::ObjectCache* backfills = nullptr;
  };
  // Several: what one does not have the next one may.
  WorkerDirectory(std::vector<Caches> caches, const kube::ApiClient& client)
      : caches_(std::move(caches)), client_(client) {}
  WorkerDirectory(const kube::ObjectCache& pods, const kube::ObjectCache& jobs,
                  const kube::ObjectCache& backfills, const kube::ApiClient& client)
      : WorkerDirectory({{.pods = &pods, .jobs = &jobs, .backfills = &backfills}}, client) {}

  using Found = Result<coordinator::WorkerIdentity, Refused>;
  // Does not block. nullopt: the caches cannot tell.
  [[nodiscard]] std::optional<Found> FindCached(const PodClaim& claim) const;
  // Up to three calls.
  [[nodiscard]] Found Find(const PodClaim& claim, const kube::CallLimits& limits) const;

 private:
  template <typename Lookup>
  Found FindBy(const PodClaim& claim, const Lookup& lookup) const;

  const std::vector<Caches> caches_;
  const kube::ApiClient& client_;
};

}  // namespace backfill::identity
