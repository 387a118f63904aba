#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace backfill::kube {

// A kind as the API server names it in paths.
struct ResourceType {
  std::string_view group;  // "" is the core group
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = true;
};

// Names an object within its kind.
struct ObjectKey {
  std::string ns;  // "" for kinds without namespace
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};

struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;
  bool operator==(const OwnerReference&) const = default;
};

// The part of metadata that is read here. managedFields and the rest are dropped while parsing.
struct ObjectMeta {
  std::string ns = {};
  std::string name = {};
  std::string uid = {};
  std::string resource_version = {};  // opaque: compared for equality only
  std::int64_t generation = 0;
  std::string creation_time = {};  // RFC 3339
  std::string deletion_time = {};  // RFC 3339; empty unless it is being deleted
  std::map<std::string, std::string> labels = {};
  std::map<std::string, std::string> annotations = {};
  std::vector<OwnerReference> owners = {};
  std::vector<std::string> finalizers = {};

  [[nodiscard]] ObjectKey key() const { return {.ns = ns, .name = name}; }
  [[nodiscard]] const OwnerReference* controller() const;
  // Of that object and no other of its name.
  [[nodiscard]] bool IsControlledBy(std::string_view owner_uid) const;
};

// An object of any kind. What is cached is shared and never changes: a kind derives from this and
// adds const-correct data, nothing else.
struct ApiObject {
  ObjectMeta meta;

  ApiObject() = default;
  ApiObject(const ApiObject&) = default;
  ApiObject(ApiObject&&) = default;
  ApiObject& operator=(const ApiObject&) = default;
  ApiObject& operator=(ApiObject&&) = default;
  virtual ~ApiObject() = default;
};

using ApiObjectPtr = std::shared_ptr<const ApiObject>;

// Makes an object of one kind from its JSON. Errors name the field. Must take what any server may
// send: absent parts have defaults, unknown parts are passed over, wrong types are errors.
using DecodeObject = Result<ApiObjectPtr> (*)(const nlohmann::json& object);

// What a client, a watcher and a cache need to know of a kind.
struct Resource {
  ResourceType type;
  DecodeObject decode = nullptr;
};

// /apis/batch/v1/namespaces/shop/jobs/reprice-run; without namespace: of all; without name: the
// collection. Each part is percent-encoded.
std::string PathOf(const ResourceType& type, std::string_view ns = {}, std::string_view name = {},
                   std::string_view subresource = {});

// batch/v1; v1 of the core group.
std::string ApiVersionOf(const ResourceType& type);

// As it stands in metadata.ownerReferences of what `owner` controls: that goes with it, and in the
// foreground before it.
nlohmann::json ControllerReference(const ResourceType& type, const ObjectMeta& owner);

Result<ObjectMeta> DecodeMeta(const nlohmann::json& object);

// Only metadata: what pods are cached as.
Result<ApiObjectPtr> DecodeMetaOnly(const nlohmann::json& object);

}  // namespace backfill::kube
