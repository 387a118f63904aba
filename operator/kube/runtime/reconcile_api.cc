#include "operator/kube/runtime/reconcile_api.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace backfill::kube {
namespace {

ObjectVersion VersionOf(const Resource& resource, const ApiObject& object) {
  return {.resource = std::string(resource.type.plural),
          .object = object.meta.key(),
          .version = object.meta.resource_version};
}

}  // namespace

ApiResult<ApiObjectPtr> ReconcileApi::Get(const Resource& resource, const ObjectKey& key) {
  const CallLimits limits = TRY(Begin());
  return api_.Get(resource, key, limits);
}

ApiResult<ApiObjectPtr> ReconcileApi::ReadLive(const Resource& resource, const ObjectKey& key) {
  ApiObjectPtr read = TRY(Get(resource, key));
  context_.OnLiveRead(VersionOf(resource, *read));
  return read;
}

ApiResult<ApiObjectPtr> ReconcileApi::Create(const Resource& resource, std::string_view ns,
                                             std::string body) {
  const CallLimits limits = TRY(Begin());
  return Written(resource, api_.Create(resource, ns, std::move(body), limits));
}

ApiResult<ApiObjectPtr> ReconcileApi::Update(const Resource& resource, const ObjectKey& key,
                                             std::string body, std::string_view subresource) {
  const CallLimits limits = TRY(Begin());
  return Written(resource, api_.Update(resource, key, std::move(body), limits, subresource));
}

ApiResult<ApiObjectPtr> ReconcileApi::Patch(const Resource& resource, const ObjectKey& key,
                                            std::string body, const PatchOptions& options) {
  const CallLimits limits = TRY(Begin());
  return Written(resource, api_.Patch(resource, key, std::move(body), options, limits));
}

ApiResult<ApiObjectPtr> ReconcileApi::CreateOrUpdate(const Resource& resource, const ObjectKey& key,
                                                     nlohmann::json body,
                                                     const ApiObject* current) {
  nlohmann::json& meta = body["metadata"];
  meta["name"] = key.name;
  if (current == nullptr) return Create(resource, key.ns, body.dump());
  meta["resourceVersion"] = current->meta.resource_version;
  return Update(resource, key, body.dump());
}

ApiResult<Ok> ReconcileApi::Delete(const Resource& resource, const ObjectKey& key,
                                   const DeleteOptions& options) {
  const CallLimits limits = TRY(Begin());
  return api_.Delete(resource, key, options, limits);
}

ApiResult<CallLimits> ReconcileApi::Begin() {
  if (const Status may = context_.BeginCall(); !may.ok()) return ErrorOf(may.error());
  return CallLimits{.deadline = context_.deadline(), .stop = context_.stop()};
}

ApiResult<ApiObjectPtr> ReconcileApi::Written(const Resource& resource,
                                              ApiResult<ApiObjectPtr> written) {
  if (written.ok()) context_.OnWrite(VersionOf(resource, **written));
  return written;
}

}  // namespace backfill::kube
