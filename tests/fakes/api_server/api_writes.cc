#include <fmt/format.h>

#include <array>

#include "tests/fakes/api_server/api_state.h"
#include "tests/fakes/api_server/meta_rules.h"

namespace backfill::fakes {
namespace {

constexpr std::size_t kMaxEtcdBytes = std::size_t{1536} << 10;
constexpr std::size_t kMaxRequestBytes = std::size_t{3} << 20;
constexpr std::size_t kMaxPatchOperations = 10'000;

constexpr std::string_view kJsonBody = "application/json";
constexpr std::string_view kJsonPatch = "application/json-patch+json";
constexpr std::string_view kMergePatch = "application/merge-patch+json";
constexpr std::string_view kApplyPatch = "application/apply-patch+yaml";

// What a writer cannot change: it comes from the object that is there.
constexpr std::array kServerFields = {"name",
                                      "namespace",
                                      "uid",
                                      "creationTimestamp",
                                      "deletionTimestamp",
                                      "generation",
                                      "selfLink",
                                      "managedFields",
                                      "generateName",
                                      "deletionGracePeriodSeconds",
                                      "resourceVersion"};

Json EmptyToAbsent(Json object) {
  Json& meta = object["metadata"];
  for (const char* field : {"labels", "annotations", "ownerReferences", "finalizers"}) {
    const auto it = meta.find(field);
    if (it != meta.end() && (it->is_null() || it->empty())) meta.erase(it);
  }
  return object;
}

// All that counts as the wish: everything but metadata and status; of built-in kinds the spec.
bool SameWish(const FakeKind& kind, Json a, Json b) {
  if (!kind.custom) return a.value("spec", Json()) == b.value("spec", Json());
  for (Json* json : {&a, &b}) {
    json->erase("metadata");
    json->erase("status");
  }
  return a == b;
}

void KeepStatus(const Json& current, Json& next) {
  next.erase("status");
  if (current.contains("status")) next["status"] = current["status"];
}

Answer<Json> Parsed(const FakeKind& kind, const ApiCall& call, const std::string& body) {
  std::optional<Json> parsed = ParseJson(body);
  if (!parsed || !parsed->is_object()) {
    return BadRequest(fmt::format(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json "
        "parse error",
        kind.kind));
  }
  Json object = std::move(*parsed);
  if (kind.custom && TextAt(object, {"kind"}).empty()) {
    return BadRequest(
        fmt::format("the object provided is unrecognized (must be of type {}): Object 'Kind' is "
                    "missing",
                    kind.kind));
  }
  const std::string api_version = TextAt(object, {"apiVersion"});
  if (!api_version.empty() && api_version != kind.api_version()) {
    return BadRequest(
        fmt::format("the API version in the data ({}) does not match the expected API version ({})",
                    api_version, kind.api_version()));
  }
  if (const std::string name = TextAt(object, {"kind"}); !name.empty() && name != kind.kind) {
    return BadRequest(fmt::format("{} in version \"{}\" cannot be handled as a {}", name,
                                  kind.version, kind.kind));
  }
  object["apiVersion"] = kind.api_version();
  object["kind"] = kind.kind;
  Json& meta = object["metadata"];
  if (meta.is_null()) meta = Json::object();
  if (!HasShape(object)) return BadRequest(kind.kind + ": cannot unmarshal a part of it");
  if (kind.namespaced) {
    const std::string ns = TextAt(object, {"metadata", "namespace"});
    if (!ns.empty() && ns != call.ns) {
      return BadRequest(
          "the namespace of the provided object does not match the namespace sent on the request");
    }
    meta["namespace"] = call.ns;
  }
  return EmptyToAbsent(std::move(object));
}

std::optional<Failure> CheckSize(const Json& object) {
  if (Dump(object).size() > kMaxEtcdBytes) return TooLargeForEtcd();
  return std::nullopt;
}

std::optional<Failure> CheckImmutable(const FakeKind& kind, const std::string& name,
                                      const Json& current, const Json& next) {
  const bool freezes = kind.kind == "ConfigMap" || kind.kind == "Secret";
  const Json* frozen = At(current, {"immutable"});
  if (!freezes || frozen == nullptr || *frozen != true) return std::nullopt;
  std::vector<kube::ApiCause> causes;
  for (const char* field : {"immutable", "data", "binaryData"}) {
    if (current.value(field, Json()) == next.value(field, Json())) continue;
    causes.push_back({.reason = "FieldValueForbidden",
                      .field = field,
                      .message = "Forbidden: field is immutable when `immutable` is set"});
  }
  if (causes.empty()) return std::nullopt;
  return Invalid(kind, name, causes);
}

std::optional<Failure> CheckFinalizers(const FakeKind& kind, const std::string& name,
                                       const Json& current, const Json& next) {
  if (At(current, {"metadata", "deletionTimestamp"}) == nullptr) return std::nullopt;
  const Json none = Json::array();
  const Json* old_list = At(current, {"metadata", "finalizers"});
  const Json* new_list = At(next, {"metadata", "finalizers"});
  std::string added;
  for (const Json& finalizer : new_list == nullptr ? none : *new_list) {
    const Json& old = old_list == nullptr ? none : *old_list;
    if (std::find(old.begin(), old.end(), finalizer) == old.end()) {
      added += (added.empty() ? "" : ", ") + Dump(finalizer);
    }
  }
  if (added.empty()) return std::nullopt;
  return Invalid(kind, name,
                 {{.reason = "FieldValueForbidden",
                   .field = "metadata.finalizers",
                   .message = "Forbidden: no new finalizers can be added if the object is being "
                              "deleted, found new finalizers []string{" +
                              added + "}"}});
}

Answer<Json> Patched(const kube::HttpRequest& request, const Json& current) {
  const std::optional<Json> patch = ParseJson(request.body);
  if (!patch) return BadRequest("error decoding patch: invalid JSON");
  if (request.content_type != kJsonPatch) {
    if (!patch->is_object()) return BadRequest("error decoding patch: not an object");
    Json next = current;
    next.merge_patch(*patch);
    return next;
  }
  if (!patch->is_array()) return BadRequest("error decoding patch: not a list of operations");
  if (patch->size() > kMaxPatchOperations) {
    return Failure{413, "RequestEntityTooLarge",
                   fmt::format("The allowed maximum operations in a JSON patch is {}, got {}",
                               kMaxPatchOperations, patch->size())};
  }
  try {
    Json next = current.patch(*patch);
    return next;
  } catch (const Json::exception&) {  // a failed test, a path that is not there, an unknown op
    return PatchFailed();
  }
}

}  // namespace

kube::HttpResponse ApiState::Write(const ApiCall& call, const kube::HttpRequest& request,
                                   WallTime now) {
  const FakeKind* kind = KindOf(call);
  if (kind == nullptr) return NoSuchPath();
  if (request.body.size() > kMaxRequestBytes) return ResponseTo(TooLargeRequest());
  Warnings warnings;
  const bool puts = (call.verb == "patch" && request.content_type == kApplyPatch) ||
                    (call.verb == "update" && kind->created_by_put);
  const bool creates =
      call.verb == "create" || (puts && history_.Find(*kind, KeyOf(call.ns, call.name)) == nullptr);
  if ((call.verb == "create" || call.verb == "update") && request.content_type != kJsonBody) {
    return ResponseTo(UnsupportedMediaType(
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"));
  }
  const auto answer = [&]() -> Answer<Json> {
    if (call.verb == "create") return Create(*kind, call, request.body, now, warnings);
    if (call.verb == "update") return Update(*kind, call, request.body, now, warnings);
    if (call.verb == "patch") return Patch(*kind, call, request, now, warnings);
    if (call.verb == "delete") return Delete(*kind, call, request.body, now);
    return DeleteCollection(*kind, call, request.body, now);
  }();
  if (!answer.ok()) return ResponseTo(answer.error());
  if (collect_at_once_) CollectGarbage(now);
  return {.status = creates ? 201 : 200,
          .body = Dump(*answer),
          .retry_after = {},
          .warnings = std::move(warnings)};
}

Answer<Ok> ApiState::CheckNamespace(const FakeKind& kind, const ApiCall& call,
                                    const std::string& name) {
  if (!kind.namespaced) return Ok{};
  const FakeKind& namespaces = *kinds_.Find("", "v1", "namespaces");
  const JsonPtr ns = history_.Find(namespaces, KeyOf("", call.ns));
  if (ns == nullptr) return NotFound(namespaces, call.ns);
  if (TextAt(*ns, {"status", "phase"}) == "Terminating") {
    return fakes::NamespaceTerminating(kind, name, call.ns);
  }
  return Ok{};
}

Answer<Json> ApiState::Judged(const FakeKind& kind, const ApiCall& call, const Json& object,
                              const Json* before, Warnings& warnings) {
  Json judged = object;
  std::vector<kube::ApiCause> causes = CheckMeta(object);
  if (kind.schema != nullptr) {
    const SchemaVerdict verdict =
        kind.schema->Judge(Dump(object), before == nullptr ? std::string() : Dump(*before));
    const std::string validation = call.Option("fieldValidation");
    std::string unknown;
    for (const std::string& field : verdict.unknown) {
      const std::string text = "unknown field \"" + field + "\"";
      unknown += (unknown.empty() ? "" : ", ") + text;
      if (validation != "Ignore") warnings.push_back(text);
    }
    if (validation == "Strict" && !unknown.empty()) {
      return BadRequest("strict decoding error: " + unknown);
    }
    causes.insert(causes.end(), verdict.causes.begin(), verdict.causes.end());
    if (auto pruned = ParseJson(verdict.object)) judged = std::move(*pruned);
  }
  if (!causes.empty()) return Invalid(kind, TextAt(object, {"metadata", "name"}), causes);
  return judged;
}

Answer<Json> ApiState::Create(const FakeKind& kind, const ApiCall& call, const std::string& body,
                              WallTime now, Warnings& warnings) {
  if (!call.name.empty()) return MethodNotAllowed();
  Json object = TRY(Parsed(kind, call, body));
  Json& meta = object["metadata"];
  std::string name = TextAt(object, {"metadata", "name"});
  TRY(CheckNamespace(kind, call, name));
  if (const std::string prefix = TextAt(object, {"metadata", "generateName"});
      name.empty() && !prefix.empty()) {
    name = prefix + RandomSuffix(random_());
    meta["name"] = name;
  }
  if (name.empty()) {
    return Invalid(kind, "",
                   {{.reason = "FieldValueRequired",
                     .field = "metadata.name",
                     .message = "Required value: name or generateName is required"}});
  }
  if (!TextAt(object, {"metadata", "resourceVersion"}).empty()) {
    return Failure{500, "", "resourceVersion should not be set on objects to be created"};
  }
  for (const char* field : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
                            "generation", "managedFields"}) {
    meta.erase(field);
  }
  meta["uid"] = NewUid();
  meta["creationTimestamp"] = FormatWallTime(now);
  if (kind.generation) meta["generation"] = 1;
  if (kind.status) object.erase("status");
  if (kind.kind == "Namespace") object["status"] = {{"phase", "Active"}};
  if (kind.kind == "Pod") object["status"] = {{"phase", "Pending"}};
  const std::string manager = call.Option("fieldManager");
  meta["managedFields"] = Json::array({Json{{"manager", manager.empty() ? "unknown" : manager},
                                            {"operation", "Update"},
                                            {"apiVersion", kind.api_version()},
                                            {"time", FormatWallTime(now)},
                                            {"fieldsType", "FieldsV1"},
                                            {"fieldsV1", Json::object()}}});
  object = TRY(Judged(kind, call, object, nullptr, warnings));
  const std::string key = KeyOf(call.ns, name);
  if (history_.Find(kind, key) != nullptr) return AlreadyExists(kind, name);
  if (const auto failure = CheckSize(object)) return *failure;
  if (call.Option("dryRun") == "All") return object;
  return *history_.Put(kind, key, std::move(object));
}

Answer<Json> ApiState::Update(const FakeKind& kind, const ApiCall& call, const std::string& body,
                              WallTime now, Warnings& warnings) {
  const JsonPtr current = history_.Find(kind, KeyOf(call.ns, call.name));
  Json next = TRY(Parsed(kind, call, body));
  const std::string name = TextAt(next, {"metadata", "name"});
  if (name != call.name) {
    return BadRequest(fmt::format(
        "the name of the object ({}) does not match the name on the URL ({})", name, call.name));
  }
  const std::string uid = TextAt(next, {"metadata", "uid"});
  if (current == nullptr) {
    if (!kind.created_by_put || !call.subresource.empty()) return NotFound(kind, call.name);
    if (!uid.empty())
      return Conflict(kind, name, "Precondition failed: UID in precondition: " + uid);
    // Whatever version it names.
    next["metadata"].erase("resourceVersion");
    ApiCall create = call;
    create.name.clear();
    return Create(kind, create, Dump(next), now, warnings);
  }
  const std::string its_uid = TextAt(*current, {"metadata", "uid"});
  if (!uid.empty() && uid != its_uid) {
    return Conflict(kind, name,
                    fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: "
                                "{}",
                                uid, its_uid));
  }
  const std::string version = TextAt(next, {"metadata", "resourceVersion"});
  if (version.empty() && !kind.blind_update) return VersionMissing(kind, name);
  if (!version.empty() && version != TextAt(*current, {"metadata", "resourceVersion"})) {
    return ChangedMeanwhile(kind, name);
  }
  return Replace(kind, call, *current, std::move(next), warnings);
}

Answer<Json> ApiState::Patch(const FakeKind& kind, const ApiCall& call,
                             const kube::HttpRequest& request, WallTime now, Warnings& warnings) {
  const JsonPtr current = history_.Find(kind, KeyOf(call.ns, call.name));
  const bool apply = request.content_type == kApplyPatch;
  if (!apply && request.content_type != kJsonPatch && request.content_type != kMergePatch) {
    return UnsupportedMediaType(
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
  }
  if (apply && call.Option("fieldManager").empty()) {
    const FakeKind options{.group = "meta.k8s.io", .kind = "PatchOptions"};
    return Invalid(options, "",
                   {{.reason = "FieldValueRequired",
                     .field = "fieldManager",
                     .message = "Required value: is required for apply patch"}});
  }
  if (current == nullptr) {
    if (!apply || !call.subresource.empty()) return NotFound(kind, call.name);
    ApiCall create = call;
    create.name.clear();
    Json object = TRY(Parsed(kind, call, request.body));
    object["metadata"]["name"] = call.name;
    return Create(kind, create, Dump(object), now, warnings);
  }
  Json next = TRY(Patched(request, *current));
  if (!HasShape(next)) {
    return Invalid(kind, call.name,
                   {{.reason = "FieldValueInvalid",
                     .field = "patch",
                     .message = "Invalid value: cannot unmarshal what it makes of the object"}});
  }
  next = EmptyToAbsent(std::move(next));
  if (TextAt(next, {"metadata", "name"}) != call.name) {
    return BadRequest(
        fmt::format("the name of the object ({}) does not match the name on the URL ({})",
                    TextAt(next, {"metadata", "name"}), call.name));
  }
  if (const std::string is = TextAt(next, {"kind"}); is != kind.kind) {
    return Invalid(kind, call.name,
                   {{.reason = "FieldValueInvalid",
                     .field = "kind",
                     .message = "Invalid value: " + Dump(Json(is)) + ": must be " + kind.kind}});
  }
  if (TextAt(next, {"metadata", "resourceVersion"}) !=
      TextAt(*current, {"metadata", "resourceVersion"})) {
    return ChangedMeanwhile(kind, call.name);
  }
  // Of a status nothing but the status is looked at, not even the uid.
  const std::string uid = TextAt(next, {"metadata", "uid"});
  if (call.subresource.empty() && uid != TextAt(*current, {"metadata", "uid"})) {
    return Invalid(kind, call.name,
                   {{.reason = "FieldValueInvalid",
                     .field = "metadata.uid",
                     .message = "Invalid value: " + Dump(Json(uid)) + ": field is immutable"}});
  }
  return Replace(kind, call, *current, std::move(next), warnings);
}

Answer<Json> ApiState::Replace(const FakeKind& kind, const ApiCall& call, const Json& current,
                               Json next, Warnings& warnings) {
  if (call.subresource == "status") {
    Json status = next.value("status", Json());
    if (kind.custom) {
      next = current;
    } else {
      next["spec"] = current.value("spec", Json());
      if (next["spec"].is_null()) next.erase("spec");
    }
    next.erase("status");
    if (!status.is_null()) next["status"] = std::move(status);
  } else if (kind.status) {
    KeepStatus(current, next);
  }
  Json& meta = next["metadata"];
  for (const char* field : kServerFields) {
    meta.erase(field);
    if (current["metadata"].contains(field)) meta[field] = current["metadata"][field];
  }
  if (auto failure = CheckFinalizers(kind, call.name, current, next)) return *failure;
  if (auto failure = CheckImmutable(kind, call.name, current, next)) return *failure;
  next = TRY(Judged(kind, call, next, &current, warnings));
  if (kind.generation && !SameWish(kind, current, next)) {
    next["metadata"]["generation"] = current["metadata"].value("generation", 0) + 1;
  }
  if (next == current) return current;
  if (auto failure = CheckSize(next)) return *failure;
  if (call.Option("dryRun") == "All") return next;
  const std::string key = KeyOf(call.ns, call.name);
  const Json* finalizers = At(next, {"metadata", "finalizers"});
  const bool held = (finalizers != nullptr && !finalizers->empty()) ||
                    next["metadata"].value("deletionGracePeriodSeconds", 0) > 0;
  if (next["metadata"].contains("deletionTimestamp") && !held) {
    return *history_.Erase(kind, key, std::move(next));
  }
  return *history_.Put(kind, key, std::move(next));
}

}  // namespace backfill::fakes
