#include "operator/kube/client/api_object.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/json_fields.h"
#include "operator/kube/client/query.h"

namespace backfill::kube {
namespace {

void AppendSegment(std::string& path, std::string_view segment) {
  path += '/';
  if (segment == "." || segment == "..") {  // would be taken for steps up the path
    for (std::size_t i = 0; i < segment.size(); ++i) path += "%2E";
  } else {
    AppendPercentEncoded(path, segment);
  }
}

}  // namespace

const OwnerReference* ObjectMeta::controller() const {
  for (const OwnerReference& owner : owners) {
    if (owner.controller) return &owner;
  }
  return nullptr;
}

bool ObjectMeta::IsControlledBy(std::string_view owner_uid) const {
  const OwnerReference* owner = controller();
  return owner != nullptr && owner->uid == owner_uid;
}

std::string ApiVersionOf(const ResourceType& type) {
  std::string version(type.group);
  if (!version.empty()) version += '/';
  return version += type.version;
}

nlohmann::json ControllerReference(const ResourceType& type, const ObjectMeta& owner) {
  return {{"apiVersion", ApiVersionOf(type)},
          {"kind", type.kind},
          {"name", owner.name},
          {"uid", owner.uid},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

std::string PathOf(const ResourceType& type, std::string_view ns, std::string_view name,
                   std::string_view subresource) {
  std::string path;
  if (type.group.empty()) {
    path = "/api";
  } else {
    path = "/apis";
    AppendSegment(path, type.group);
  }
  AppendSegment(path, type.version);
  if (type.namespaced && !ns.empty()) {
    path += "/namespaces";
    AppendSegment(path, ns);
  }
  AppendSegment(path, type.plural);
  if (name.empty()) return path;
  AppendSegment(path, name);
  if (!subresource.empty()) AppendSegment(path, subresource);
  return path;
}

Result<ObjectMeta> DecodeMeta(const nlohmann::json& object) {
  std::string problem;
  const JsonFields fields = JsonFields(object, "", problem).Object("metadata");
  ObjectMeta meta{
      .ns = fields.String("namespace"),
      .name = fields.String("name"),
      .uid = fields.String("uid"),
      .resource_version = fields.String("resourceVersion"),
      .generation = fields.Int("generation"),
      .creation_time = fields.String("creationTimestamp"),
      .deletion_time = fields.String("deletionTimestamp"),
      .labels = fields.StringMap("labels"),
      .annotations = fields.StringMap("annotations"),
      .owners = {},
      .finalizers = fields.Strings("finalizers"),
  };
  for (const JsonFields& owner : fields.Objects("ownerReferences")) {
    meta.owners.push_back({.api_version = owner.String("apiVersion"),
                           .kind = owner.String("kind"),
                           .name = owner.String("name"),
                           .uid = owner.String("uid"),
                           .controller = owner.Bool("controller")});
  }
  if (!problem.empty()) return Error{ErrorCode::kInvalid, problem};
  return meta;
}

Result<ApiObjectPtr> DecodeMetaOnly(const nlohmann::json& object) {
  auto out = std::make_shared<ApiObject>();
  out->meta = TRY(DecodeMeta(object));
  return ApiObjectPtr(std::move(out));
}

}  // namespace backfill::kube
