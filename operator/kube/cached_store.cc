#include "operator/kube/cached_store.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/api_store_objects.h"
#include "operator/kube/object_writes.h"

namespace backfill::kube {
namespace {

Result<ApiObjectPtr> DecodeCachedBackfill(const nlohmann::json& json) {
  auto cached = std::make_shared<CachedObject>();
  cached->meta = TRY(DecodeMeta(json));
  cached->object = TRY(ReadStored(*FindStoredKind(kBackfillKind), json)).object;
  return ApiObjectPtr(std::move(cached));
}

}  // namespace

Resource CachedBackfills() {
  return {.type = FindStoredKind(kBackfillKind)->type, .decode = DecodeCachedBackfill};
}

CachedStore::CachedStore(ObjectStore& store, const ObjectCache& backfills, const Clock& clock,
                         const Options& options)
    : store_(store), backfills_(backfills), clock_(clock), options_(options) {}

Result<Object> CachedStore::Get(const ObjectRef& ref) {
  if (ref.kind == kBackfillKind) return GetBackfill(ref);
  if (ref.kind == kConfigMapKind) return GetConfigMap(ref);
  return store_.Get(ref);
}

Result<Object> CachedStore::GetBackfill(const ObjectRef& ref) {
  {
    MutexLock l(mu_);
    const auto it = ahead_.find(ref);
    if (it != ahead_.end()) {
      if (!backfills_.HasSeen({ref.ns, ref.name}, it->second.resource_version)) return it->second;
      ahead_.erase(it);
    }
  }
  const ApiObjectPtr cached = backfills_.Get(ref.ns, ref.name);
  if (cached == nullptr) return NotFound(ref);
  return static_cast<const CachedObject&>(*cached).object;
}

Result<Object> CachedStore::GetConfigMap(const ObjectRef& ref) {
  {
    MutexLock l(mu_);
    const auto it = config_maps_.find(ref);
    if (it != config_maps_.end() && clock_.Steady() - it->second.read < options_.config_map_age) {
      if (!it->second.object) return NotFound(ref);
      return *it->second.object;
    }
  }
  const Time asked = clock_.Steady();
  Result<Object> read = store_.Get(ref);
  if (!read.ok() && read.error().code != ErrorCode::kNotFound) return read;
  MutexLock l(mu_);
  if (config_maps_.size() >= options_.max_remembered) config_maps_.clear();  // it is but a saving
  config_maps_[ref] = {.object = read.ok() ? std::optional(*read) : std::nullopt, .read = asked};
  return read;
}

Result<std::vector<Object>> CachedStore::List(std::string_view kind, std::string_view ns) {
  return store_.List(kind, ns);
}

Result<Object> CachedStore::Create(const Object& object, Durability durability) {
  return Written(object.ref, store_.Create(object, durability));
}
Result<Object> CachedStore::Update(const Object& object, Durability durability) {
  return Written(object.ref, store_.Update(object, durability));
}
Result<Object> CachedStore::UpdateStatus(const Object& object, Durability durability) {
  return Written(object.ref, store_.UpdateStatus(object, durability));
}

Status CachedStore::Delete(const ObjectRef& ref, std::string_view uid) {
  Forget(ref);
  Status deleted = store_.Delete(ref, uid);
  Forget(ref);  // read in between
  return deleted;
}

Result<std::uint64_t> CachedStore::WaitForChange(std::uint64_t seen, Time deadline,
                                                 std::stop_token stop) {
  return store_.WaitForChange(seen, deadline, std::move(stop));
}

Status CachedStore::Refresh(const ObjectRef& ref) {
  Forget(ref);
  Object live = TRY(store_.Get(ref));
  if (ref.kind == kBackfillKind) Remember(ref, std::move(live));
  return Ok{};
}

void CachedStore::Forget(const ObjectRef& ref) {
  MutexLock l(mu_);
  ahead_.erase(ref);
  config_maps_.erase(ref);
}

Result<Object> CachedStore::Written(const ObjectRef& ref, Result<Object> result) {
  if (ref.kind != kBackfillKind) {
    Forget(ref);
    return result;
  }
  if (result.ok()) {
    Remember(ref, *result);
  } else if (result.error().code == ErrorCode::kConflict) {
    Result<Object> live = store_.Get(ref);
    if (live.ok()) Remember(ref, std::move(live).value());
  }
  return result;
}

void CachedStore::Remember(const ObjectRef& ref, Object object) {
  MutexLock l(mu_);
  // Whoever is dropped is read from the cache, which is at worst behind: a conflict tells.
  if (ahead_.size() >= options_.max_remembered) ahead_.clear();
  ahead_[ref] = std::move(object);
}

}  // namespace backfill::kube
