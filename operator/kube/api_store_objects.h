#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/object_store.h"

// Between the store's objects and what goes over the wire to an API server. Pure.
namespace backfill::kube {

// What the store must know of a kind.
struct StoredKind {
  ResourceType type;
  bool status = false;  // has the subresource
};
// nullptr: a kind that this store does not keep.
const StoredKind* FindStoredKind(std::string_view kind);

// What a store's object does not show, and what a replacement must keep as it is.
struct HiddenMeta {
  std::string finalizers;  // JSON lists; empty: none
  std::string owners;
};

struct StoredObject {
  Object object;
  HiddenMeta hidden;
};

// kInternal: not an object of this kind; the message says why. Takes whatever a server sends.
Result<StoredObject> ReadStored(const StoredKind& kind, const nlohmann::json& json);

struct StoredPage {
  std::vector<StoredObject> objects;
  std::string version;
  std::string next;                   // the token of the next page; empty: this was the last
  std::vector<std::string> problems;  // of objects that cannot be read, which are left out
};
Result<StoredPage> ReadStoredPage(const StoredKind& kind, std::string_view body);
Result<StoredObject> ReadStored(const StoredKind& kind, std::string_view body);

// Bodies of requests. kInvalid: content or status are no JSON object, or hold what stands beside
// them.
Result<std::string> CreateBody(const StoredKind& kind, const Object& object,
                               const OwnerReference* owner);
Result<std::string> ReplaceBody(const StoredKind& kind, const Object& object,
                                const HiddenMeta& hidden);
// A JSON patch of the subresource. It names the version that it was made from, so that an old one
// is a conflict (R27); as a patch it needs no right to update.
Result<std::string> StatusPatch(const Object& object);
// `uid` may be empty: whichever. What it owns follows in the background.
std::string DeleteBody(std::string_view uid);

}  // namespace backfill::kube
