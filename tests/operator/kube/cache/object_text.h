#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "operator/kube/client/api_object.h"
#include "operator/kube/client/wire.h"

namespace backfill::kube {

// An object as a test thinks of it: shop/a of uid "uid-of-a" at a version.
inline ApiObjectPtr Object(std::string_view name, std::string_view version,
                           std::string_view uid = {}) {
  auto object = std::make_shared<ApiObject>();
  object->meta.ns = "shop";
  object->meta.name = name;
  object->meta.uid = uid.empty() ? "uid-of-" + std::string(name) : std::string(uid);
  object->meta.resource_version = version;
  return object;
}

inline Change Added(ApiObjectPtr object) {
  return {.type = ChangeType::kAdded, .object = std::move(object)};
}
inline Change Modified(ApiObjectPtr object) {
  return {.type = ChangeType::kModified, .object = std::move(object)};
}
inline Change Deleted(ApiObjectPtr object) {
  return {.type = ChangeType::kDeleted, .object = std::move(object)};
}

}  // namespace backfill::kube
