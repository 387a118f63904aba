#include "operator/kube/example/copier.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "operator/kube/cache/kinds.h"

namespace backfill::kube::example {

using nlohmann::json;

Result<ApiObjectPtr> DecodeConfigMap(const json& object) {
  auto map = std::make_shared<ConfigMap>();
  map->meta = TRY(DecodeMeta(object));
  map->data = object.value("data", json::object()).dump();
  return ApiObjectPtr(map);
}

const Resource kConfigMaps{{"", "v1", "configmaps", "ConfigMap"}, DecodeConfigMap};

Outcome Copier::Reconcile(const ObjectKey& key, ReconcileContext& context) {
  const auto original = As<ConfigMap>(cache_.Get(key.ns, key.name));
  if (!original || !original->meta.labels.contains("copy")) return Outcome::Done();
  const ObjectKey copy_key{key.ns, key.name + "-copy"};
  const auto copy = As<ConfigMap>(cache_.Get(copy_key.ns, copy_key.name));
  if (copy && copy->data == original->data) return Outcome::Done();
  const OwnerReference* owner = copy ? copy->meta.controller() : nullptr;
  if (copy && (owner == nullptr || owner->uid != original->meta.uid))
    return Outcome::Refused({ErrorCode::kConflict, copy_key.name + " belongs to somebody else"});

  json metadata{{"name", copy_key.name},
                {"ownerReferences",
                 {{{"apiVersion", "v1"},
                   {"kind", "ConfigMap"},
                   {"name", key.name},
                   {"uid", original->meta.uid},
                   {"controller", true}}}}};
  if (copy) metadata["resourceVersion"] = copy->meta.resource_version;
  const std::string body =
      json{{"metadata", metadata}, {"data", json::parse(original->data)}}.dump();

  if (Status s = context.BeginCall(); !s.ok()) return Outcome::Failed(s.error());
  const CallLimits limits{context.deadline(), context.stop()};
  const auto written = copy ? api_.Update(kConfigMaps, copy_key, body, limits)
                            : api_.Create(kConfigMaps, key.ns, body, limits);
  if (!written.ok()) return Outcome::Failed(written.error().ToError());
  context.OnWrite({"configmaps", copy_key, (*written)->meta.resource_version});
  return Outcome::Done();
}

}  // namespace backfill::kube::example
