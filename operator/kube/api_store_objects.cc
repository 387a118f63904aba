#include "operator/kube/api_store_objects.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/bounded_json.h"
#include "operator/kube/object_writes.h"

namespace backfill::kube {
namespace {

using Json = nlohmann::json;

constexpr std::array kStoredKinds = {
    StoredKind{{"backfill.dev", "v1alpha1", "backfills", kBackfillKind}, true},
    StoredKind{{"backfill.dev", "v1alpha1", "backfillledgers", kLedgerKind}, false},
    StoredKind{{"", "v1", "configmaps", kConfigMapKind}, false},
};

// Beside the content.
constexpr std::array kNotContent = {"apiVersion", "kind", "metadata", "status"};

std::string Dumped(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string DumpedMember(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() || it->empty() ? std::string() : Dumped(*it);
}

std::string ApiVersion(const ResourceType& type) {
  if (type.group.empty()) return std::string(type.version);
  return std::string(type.group) + "/" + std::string(type.version);
}

Result<Json> ParsedObject(const ObjectRef& ref, std::string_view what, std::string_view text) {
  auto parsed = ParseBounded(text, Envelope::kNone);
  if (parsed.ok() && !parsed->too_deep && parsed->value.is_object()) {
    return std::move(parsed->value);
  }
  return Error{ErrorCode::kInvalid,
               Describe(ref) + ": the " + std::string(what) + " is not a JSON object"};
}

// The object with all that a writer says of it.
Result<Json> Whole(const StoredKind& kind, const Object& object) {
  Json whole = TRY(ParsedObject(object.ref, "content", object.content));
  for (const char* field : kNotContent) {
    if (!whole.contains(field)) continue;
    return Error{ErrorCode::kInvalid, Describe(object.ref) + ": the content has a " + field +
                                          ", which stands beside it"};
  }
  whole["apiVersion"] = ApiVersion(kind.type);
  whole["kind"] = kind.type.kind;
  Json meta{{"name", object.ref.name}, {"namespace", object.ref.ns}};
  if (!object.labels.empty()) meta["labels"] = object.labels;
  if (!object.annotations.empty()) meta["annotations"] = object.annotations;
  whole["metadata"] = std::move(meta);
  return whole;
}

}  // namespace

const StoredKind* FindStoredKind(std::string_view kind) {
  const auto it = std::ranges::find_if(
      kStoredKinds, [&](const StoredKind& known) { return known.type.kind == kind; });
  return it == kStoredKinds.end() ? nullptr : &*it;
}

Result<StoredObject> ReadStored(const StoredKind& kind, const Json& whole) {
  const std::string doing = "reading a " + std::string(kind.type.kind);
  if (!whole.is_object()) return Error{ErrorCode::kInternal, doing + ": not an object"};
  auto read = DecodeMeta(whole);
  if (!read.ok()) return Error{ErrorCode::kInternal, doing + ": " + read.error().message};
  const ObjectMeta meta = std::move(read).value();
  StoredObject stored;
  Object& object = stored.object;
  object.ref = {std::string(kind.type.kind), meta.ns, meta.name};
  object.uid = meta.uid;
  object.resource_version = meta.resource_version;
  object.generation = meta.generation;
  object.creation_time = meta.creation_time;
  object.annotations = meta.annotations;
  object.labels = meta.labels;
  object.finalizers = meta.finalizers;
  object.deletion_time = meta.deletion_time;
  if (const OwnerReference* controller = meta.controller()) {
    object.owner_uid = controller->uid;
  } else if (!meta.owners.empty()) {
    object.owner_uid = meta.owners.front().uid;
  }
  object.status = DumpedMember(whole, "status");
  if (object.status.empty() && whole.contains("status") && whole["status"].is_object()) {
    object.status = "{}";
  }
  stored.hidden.finalizers = DumpedMember(whole["metadata"], "finalizers");
  stored.hidden.owners = DumpedMember(whole["metadata"], "ownerReferences");
  Json content = Json::object();
  for (const auto& [key, value] : whole.items()) {
    if (std::ranges::find(kNotContent, key) == kNotContent.end()) content[key] = value;
  }
  object.content = Dumped(content);
  return stored;
}

Result<StoredObject> ReadStored(const StoredKind& kind, std::string_view body) {
  const std::string doing = "reading a " + std::string(kind.type.kind);
  auto parsed = ParseBounded(body, Envelope::kNone);
  if (!parsed.ok()) return Error{ErrorCode::kInternal, doing + ": " + parsed.error().message};
  if (parsed->too_deep) return Error{ErrorCode::kInternal, doing + ": nested too deeply"};
  return ReadStored(kind, parsed->value);
}

Result<StoredPage> ReadStoredPage(const StoredKind& kind, std::string_view body) {
  const std::string doing = "listing objects of kind " + std::string(kind.type.kind);
  StoredPage page;
  const auto on_item = [&](const Json& item, bool too_deep) {
    if (too_deep) {
      page.problems.push_back(doing + ": an object is nested too deeply");
      return;
    }
    auto object = ReadStored(kind, item);
    if (object.ok()) {
      page.objects.push_back(std::move(object).value());
    } else {
      page.problems.push_back(object.error().message);
    }
  };
  const auto parsed = ParseBounded(body, Envelope::kList, on_item);
  if (!parsed.ok()) return Error{ErrorCode::kInternal, doing + ": " + parsed.error().message};
  const Json& list = parsed->value;
  if (!list.is_object() || !list.contains("metadata") || !list["metadata"].is_object()) {
    return Error{ErrorCode::kInternal, doing + ": the answer is not a list"};
  }
  const auto items = list.find("items");
  if (items != list.end() && !items->is_null() && !items->is_array()) {
    return Error{ErrorCode::kInternal, doing + ": items is not a list"};
  }
  std::string problem;
  const JsonFields meta = JsonFields(list, "", problem).Object("metadata");
  page.version = meta.String("resourceVersion");
  page.next = meta.String("continue");
  if (!problem.empty()) return Error{ErrorCode::kInternal, doing + ": " + problem};
  return page;
}

Result<std::string> CreateBody(const StoredKind& kind, const Object& object,
                               const OwnerReference* owner) {
  Json whole = TRY(Whole(kind, object));
  if (owner != nullptr) {
    whole["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", owner->api_version},
                                                         {"kind", owner->kind},
                                                         {"name", owner->name},
                                                         {"uid", owner->uid},
                                                         {"controller", true},
                                                         {"blockOwnerDeletion", true}}});
  }
  return Dumped(whole);
}

Result<std::string> ReplaceBody(const StoredKind& kind, const Object& object,
                                const HiddenMeta& hidden) {
  Json whole = TRY(Whole(kind, object));
  Json& meta = whole["metadata"];
  meta["resourceVersion"] = object.resource_version;
  if (!object.uid.empty()) meta["uid"] = object.uid;
  if (!hidden.finalizers.empty()) meta["finalizers"] = Json::parse(hidden.finalizers);
  if (!hidden.owners.empty()) meta["ownerReferences"] = Json::parse(hidden.owners);
  return Dumped(whole);
}

Result<std::string> StatusPatch(const Object& object) {
  const bool remove = object.status.empty();
  Json status = Json::object();
  if (!remove) status = TRY(ParsedObject(object.ref, "status", object.status));
  Json patch = Json::array(
      {{{"op", "add"}, {"path", "/metadata/resourceVersion"}, {"value", object.resource_version}},
       {{"op", "add"}, {"path", "/status"}, {"value", std::move(status)}}});
  if (remove) patch.push_back({{"op", "remove"}, {"path", "/status"}});
  return Dumped(patch);
}

std::string DeleteBody(std::string_view uid) {
  Json options{
      {"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", "Background"}};
  if (!uid.empty()) options["preconditions"] = {{"uid", uid}};
  return Dumped(options);
}

}  // namespace backfill::kube
