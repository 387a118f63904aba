#pragma once

#include <nlohmann/json.hpp>

#include "operator/kube/cache/kinds.h"
#include "operator/kube/runtime/reconcile_api.h"

namespace backfill::kube::example {

inline constexpr Resource kMaps{kConfigMaps, DecodeConfigMap};

// Keeps NAME-copy like each ConfigMap NAME that has the label `copy`.
class Copier final : public Reconciler {
 public:
  Copier(const ApiClient& api, const ObjectCache& maps) : api_(api), maps_(maps) {}

  Outcome Reconcile(const ObjectKey& key, ReconcileContext& context) override {
    const auto original = As<ConfigMap>(maps_.Get(key.ns, key.name));
    if (!original || !original->meta.labels.contains("copy")) return Outcome::Done();
    const ObjectKey copy_key{key.ns, key.name + "-copy"};
    const auto copy = As<ConfigMap>(maps_.Get(copy_key.ns, copy_key.name));
    if (copy && copy->data == original->data) return Outcome::Done();
    if (copy && !copy->meta.IsControlledBy(original->meta.uid))
      return Outcome::Refused({ErrorCode::kConflict, copy_key.name + " belongs to somebody else"});

    nlohmann::json body{{"data", original->data}};
    body["metadata"]["ownerReferences"].push_back(ControllerReference(kConfigMaps, original->meta));
    ReconcileApi api(api_, context);
    return Outcome::Of(api.CreateOrUpdate(kMaps, copy_key, body, copy.get()));
  }

 private:
  const ApiClient& api_;
  const ObjectCache& maps_;
};

}  // namespace backfill::kube::example
