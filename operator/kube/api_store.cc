#include "operator/kube/api_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/digest.h"
#include "base/log.h"
#include "operator/kube/client/query.h"
#include "operator/kube/object_writes.h"

namespace backfill::kube {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kJsonPatch = "application/json-patch+json";

constexpr std::size_t kMaxSeen = 4096;
constexpr int kPageSize = 500;
constexpr int kMaxPages = 1000;
constexpr std::size_t kMaxListBytes = std::size_t{64} << 20;
constexpr int kListAttempts = 3;

// The right to watch all ConfigMaps is more than the operator has.
std::vector<ResourceType> WatchedTypes() {
  return {FindStoredKind(kBackfillKind)->type, FindStoredKind(kLedgerKind)->type};
}

// What every store of ours refuses, in the same words; what is no name never gets into a path.
Status CheckWanted(const Object& object) {
  const auto created = MakeCreated(object, 0, WallTime{});
  if (!created.ok()) return created.error();
  return Ok{};
}

bool IsNameable(const ObjectRef& ref) {
  Object object;
  object.ref = ref;
  return CheckWanted(object).ok();
}

Error UnknownKind(const ObjectRef& ref) {
  return {ErrorCode::kInvalid, Describe(ref) + ": the API server keeps no such kind for us"};
}

// Of what Update() replaces.
std::string DigestOf(const Object& object) {
  std::string text = object.content;
  for (const auto* texts : {&object.labels, &object.annotations}) {
    for (const auto& [key, value] : *texts) {
      text += fmt::format("\n{}:{}{}:{}", key.size(), key, value.size(), value);
    }
    text += "\n;";
  }
  return Sha256Hex(text);
}

// What is said of a refusal of what names an object; two of them as every store of ours says them.
Error Refused(const ObjectRef& ref, const HttpResponse& response) {
  const ApiError error = ErrorOf(response);
  if (error.kind == ApiErrorKind::kAlreadyExists) return NameTaken(ref);
  if (error.kind == ApiErrorKind::kNotFound) return NotFound(ref);
  return error.Annotate(Describe(ref)).ToError();
}

}  // namespace

ApiStore::ApiStore(HttpTransport& calls, HttpTransport& watches, const Clock& clock,
                   Options options)
    : calls_(calls),
      clock_(clock),
      options_(std::move(options)),
      counter_(watches, clock, WatchedTypes(),
               {.ns = options_.ns, .call_timeout = options_.call_timeout}) {}

Result<HttpResponse> ApiStore::Call(HttpMethod method, std::string target, std::string body,
                                    std::string content_type, std::size_t max_response_bytes) {
  HttpRequest request{.method = method,
                      .target = std::move(target),
                      .content_type = std::move(content_type),
                      .body = std::move(body)};
  if (max_response_bytes != 0) request.max_response_bytes = max_response_bytes;
  return calls_.Send(request, clock_.Steady() + options_.call_timeout, {});
}

Result<StoredObject> ApiStore::GetStored(const StoredKind& kind, const ObjectRef& ref) {
  const HttpResponse response =
      TRY(Call(HttpMethod::kGet, PathOf(kind.type, ref.ns, ref.name)).Annotate(Describe(ref)));
  if (response.status != 200) return Refused(ref, response);
  StoredObject stored = TRY(ReadStored(kind, response.body).Annotate(Describe(ref)));
  Remember(stored);
  return stored;
}

Result<Object> ApiStore::Get(const ObjectRef& ref) {
  const StoredKind* kind = FindStoredKind(ref.kind);
  if (kind == nullptr || !IsNameable(ref)) return NotFound(ref);
  return TRY(GetStored(*kind, ref)).object;
}

Result<std::vector<Object>> ApiStore::List(std::string_view kind_name, std::string_view ns) {
  const StoredKind* kind = FindStoredKind(kind_name);
  const bool nameable = ns.empty() || IsNameable({std::string(kind_name), std::string(ns), "name"});
  if (kind == nullptr || !nameable) return std::vector<Object>{};
  for (int attempt = 1;; ++attempt) {
    bool expired = false;
    auto objects = ListAll(*kind, ns, expired);
    // The version that the pages are of can become too old between two of them.
    if (objects.ok() || !expired || attempt == kListAttempts) return objects;
  }
}

Result<std::vector<Object>> ApiStore::ListAll(const StoredKind& kind, std::string_view ns,
                                              bool& expired) {
  const std::string doing = fmt::format("listing {}", kind.type.plural);
  const std::string collection = PathOf(kind.type, ns);
  std::vector<Object> objects;
  std::string next;
  for (int pages = 0; pages < kMaxPages; ++pages) {
    const std::string target = Query()
                                   .Add("limit", std::to_string(kPageSize))
                                   .AddUnlessEmpty("continue", next)
                                   .After(collection);
    const HttpResponse response =
        TRY(Call(HttpMethod::kGet, target, {}, {}, kMaxListBytes).Annotate(doing));
    if (response.status != 200) {
      const ApiError error = ErrorOf(response);
      expired = error.kind == ApiErrorKind::kGone;
      return error.Annotate(doing).ToError();
    }
    StoredPage page = TRY(ReadStoredPage(kind, response.body));
    for (const std::string& problem : page.problems) {
      Log(LogLevel::kWarning, "an object on the API server cannot be read", {{"problem", problem}});
    }
    for (StoredObject& stored : page.objects) {
      Remember(stored);
      objects.push_back(std::move(stored.object));
    }
    next = std::move(page.next);
    if (next.empty()) {
      std::ranges::sort(objects, {}, [](const Object& object) { return object.ref; });
      return objects;
    }
  }
  return Error{ErrorCode::kInternal, doing + ": the list does not end"};
}

Result<Object> ApiStore::Written(const StoredKind& kind, const ObjectRef& ref,
                                 const Result<HttpResponse>& response) {
  if (!response.ok()) {
    Forget(ref);
    return response.error().Annotate(Describe(ref));
  }
  if (response->status / 100 != 2) {
    Forget(ref);
    return Refused(ref, *response);
  }
  for (const std::string& warning : response->warnings) {
    Log(LogLevel::kWarning, "the API server warns",
        {{"object", Describe(ref)}, {"warning", warning}});
  }
  StoredObject stored = TRY(ReadStored(kind, response->body).Annotate(Describe(ref)));
  Remember(stored);
  counter_.CountWrite(ref.kind, stored.object.resource_version);
  return std::move(stored.object);
}

Result<Object> ApiStore::Create(const Object& object, Durability /*durability*/) {
  TRY(CheckWanted(object));
  const StoredKind* kind = FindStoredKind(object.ref.kind);
  if (kind == nullptr) return UnknownKind(object.ref);
  const std::optional<OwnerReference> owner = TRY(OwnerOf(object));
  std::string body = TRY(CreateBody(*kind, object, owner ? &*owner : nullptr));
  const Result<HttpResponse> response =
      Call(HttpMethod::kPost, PathOf(kind->type, object.ref.ns), std::move(body), kJson);
  if (response.ok() && response->status == 404) {  // its namespace, or the kind, is not there
    return ErrorOf(*response).Annotate(Describe(object.ref)).ToError();
  }
  return Written(*kind, object.ref, response);
}

Result<Object> ApiStore::Update(const Object& object, Durability /*durability*/) {
  const StoredKind* kind = FindStoredKind(object.ref.kind);
  if (kind == nullptr || !IsNameable(object.ref)) return NotFound(object.ref);
  TRY(CheckWanted(object));
  // Nothing to change is nothing to write: a server may count a replacement as a change all the
  // same, as it also records whose the fields are.
  std::optional<Seen> seen = SeenOf(object.ref);
  if (!seen || seen->version != object.resource_version || seen->digest == DigestOf(object)) {
    StoredObject current = TRY(GetStored(*kind, object.ref));
    if (current.object.resource_version != object.resource_version) {
      return Error{ErrorCode::kConflict, fmt::format("{}: changed since it was read; read it again",
                                                     Describe(object.ref))};
    }
    if (DigestOf(current.object) == DigestOf(object)) return std::move(current.object);
    seen = Seen{.version = {}, .uid = {}, .hidden = std::move(current.hidden), .digest = {}};
  }
  std::string body = TRY(ReplaceBody(*kind, object, seen->hidden));
  return Written(*kind, object.ref,
                 Call(HttpMethod::kPut, PathOf(kind->type, object.ref.ns, object.ref.name),
                      std::move(body), kJson));
}

Result<Object> ApiStore::UpdateStatus(const Object& object, Durability /*durability*/) {
  const StoredKind* kind = FindStoredKind(object.ref.kind);
  if (kind == nullptr || !IsNameable(object.ref)) return NotFound(object.ref);
  if (!kind->status) {
    return Error{ErrorCode::kInvalid, Describe(object.ref) + ": this kind has no status"};
  }
  TRY(CheckWanted(object));
  if (object.resource_version.empty()) {
    TRY(GetStored(*kind, object.ref));
    return Error{ErrorCode::kConflict, Describe(object.ref) + ": the version is missing"};
  }
  std::string body = TRY(StatusPatch(object));
  return Written(
      *kind, object.ref,
      Call(HttpMethod::kPatch, PathOf(kind->type, object.ref.ns, object.ref.name, "status"),
           std::move(body), kJsonPatch));
}

Status ApiStore::Delete(const ObjectRef& ref, std::string_view uid) {
  const StoredKind* kind = FindStoredKind(ref.kind);
  if (kind == nullptr || !IsNameable(ref)) return NotFound(ref);
  Forget(ref);
  const HttpResponse response =
      TRY(Call(HttpMethod::kDelete, PathOf(kind->type, ref.ns, ref.name), DeleteBody(uid), kJson)
              .Annotate(Describe(ref)));
  if (response.status == 409 && !uid.empty()) return OtherUid(ref);
  if (response.status / 100 != 2) return Refused(ref, response);
  counter_.CountWrite();
  return Ok{};
}

Result<std::uint64_t> ApiStore::WaitForChange(std::uint64_t seen, Time deadline,
                                              std::stop_token stop) {
  return counter_.Wait(seen, deadline, std::move(stop));
}

std::optional<OwnerReference> ApiStore::KnownOwner(const Object& object) {
  MutexLock l(mu_);
  for (const auto& [ref, seen] : seen_) {
    if (seen.uid != object.owner_uid || ref.ns != object.ref.ns) continue;
    const ResourceType& type = FindStoredKind(ref.kind)->type;
    const std::string group = type.group.empty() ? "" : std::string(type.group) + "/";
    return OwnerReference{.api_version = group + std::string(type.version),
                          .kind = ref.kind,
                          .name = ref.name,
                          .uid = seen.uid,
                          .controller = true};
  }
  return std::nullopt;
}

// A reference says more of an owner than its uid. The owner was nearly always seen before, else it
// is looked for among the Backfills of the namespace.
Result<std::optional<OwnerReference>> ApiStore::OwnerOf(const Object& object) {
  if (object.owner_uid.empty()) return std::optional<OwnerReference>();
  if (auto owner = KnownOwner(object)) return owner;
  TRY(List(kBackfillKind, object.ref.ns));
  if (auto owner = KnownOwner(object)) return owner;
  return Error{ErrorCode::kNotFound, Describe(object.ref) + ": its owner is gone"};
}

std::optional<ApiStore::Seen> ApiStore::SeenOf(const ObjectRef& ref) {
  MutexLock l(mu_);
  const auto it = seen_.find(ref);
  return it == seen_.end() ? std::nullopt : std::optional<Seen>(it->second);
}

void ApiStore::Remember(const StoredObject& stored) {
  Seen seen{.version = stored.object.resource_version,
            .uid = stored.object.uid,
            .hidden = stored.hidden,
            .digest = DigestOf(stored.object)};
  MutexLock l(mu_);
  if (seen_.size() >= kMaxSeen) seen_.clear();  // it is but a saving
  seen_[stored.object.ref] = std::move(seen);
}

void ApiStore::Forget(const ObjectRef& ref) {
  MutexLock l(mu_);
  seen_.erase(ref);
}

}  // namespace backfill::kube
