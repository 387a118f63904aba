#include "operator/kube/client/api_object.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/json_fields.h"

namespace backfill::kube {
namespace {

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

void AppendSegment(std::string& path, std::string_view segment) {
  constexpr char kHex[] = "0123456789ABCDEF";
  // "." and ".." would be taken for steps up the path.
  const bool dots = segment == "." || segment == "..";
  path += '/';
  for (const char c : segment) {
    if (IsUnreserved(c) && !dots) {
      path += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      path += '%';
      path += kHex[byte >> 4];
      path += kHex[byte & 15];
    }
  }
}

}  // namespace

const OwnerReference* ObjectMeta::controller() const {
  for (const OwnerReference& owner : owners) {
    if (owner.controller) return &owner;
  }
  return nullptr;
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
