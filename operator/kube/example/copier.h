#pragma once

#include <string>

#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/runtime/reconciler.h"

// An operator in two files, as an example: copier.cc and main.cc.
namespace backfill::kube::example {

struct ConfigMap final : ApiObject {
  std::string data;  // as JSON
};
extern const Resource kConfigMaps;

// Keeps NAME-copy like each ConfigMap NAME that has the label `copy`. Copies go with what they are
// copies of: the server's garbage collection sees to that.
class Copier final : public Reconciler {
 public:
  Copier(const ApiClient& api, const ObjectCache& config_maps) : api_(api), cache_(config_maps) {}
  Outcome Reconcile(const ObjectKey& key, ReconcileContext& context) override;

 private:
  const ApiClient& api_;
  const ObjectCache& cache_;
};

}  // namespace backfill::kube::example
