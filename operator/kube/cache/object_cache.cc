#include "operator/kube/cache/object_cache.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "operator/kube/cache/resource_version.h"

namespace backfill::kube {
namespace {

// An object in a list may lack its version; then nothing can be said.
bool SameVersion(const ApiObject& a, const ApiObject& b) {
  return !a.meta.resource_version.empty() && a.meta.resource_version == b.meta.resource_version;
}

}  // namespace

CacheIndex ByController() {
  return {.name = "controller", .keys = [](const ApiObject& object) {
            const OwnerReference* owner = object.meta.controller();
            return owner == nullptr ? std::vector<std::string>{} : std::vector{owner->uid};
          }};
}

CacheIndex ByLabel(std::string name, std::string label) {
  return {.name = std::move(name), .keys = [label = std::move(label)](const ApiObject& object) {
            const auto it = object.meta.labels.find(label);
            return it == object.meta.labels.end() ? std::vector<std::string>{}
                                                  : std::vector{it->second};
          }};
}

ObjectCache::ObjectCache(std::vector<CacheIndex> indexes) : indexes_(std::move(indexes)) {
  state_.indexes.resize(indexes_.size());
}

ObjectCache::~ObjectCache() = default;

// ---- readers

ApiObjectPtr ObjectCache::Get(std::string_view ns, std::string_view name) const {
  MutexLock l(mu_);
  const auto it = state_.objects.find(KeyView(ns, name));
  return it == state_.objects.end() ? nullptr : *it;
}

std::vector<ApiObjectPtr> ObjectCache::List(std::optional<std::string_view> ns) const {
  MutexLock l(mu_);
  if (!ns) return {state_.objects.begin(), state_.objects.end()};
  const auto begin = state_.objects.lower_bound(KeyView(*ns, {}));
  const auto end = std::find_if(begin, state_.objects.end(),
                                [&](const ApiObjectPtr& o) { return o->meta.ns != *ns; });
  return {begin, end};
}

std::vector<ApiObjectPtr> ObjectCache::Find(std::string_view index, std::string_view key) const {
  const auto named = std::find_if(indexes_.begin(), indexes_.end(),
                                  [&](const CacheIndex& i) { return i.name == index; });
  if (named == indexes_.end()) std::abort();
  MutexLock l(mu_);
  const IndexEntries& entries = state_.indexes[static_cast<std::size_t>(named - indexes_.begin())];
  const auto it = entries.find(key);
  if (it == entries.end()) return {};
  return {it->second.begin(), it->second.end()};
}

std::size_t ObjectCache::size() const {
  MutexLock l(mu_);
  return state_.objects.size();
}

bool ObjectCache::HasSynced() const {
  MutexLock l(mu_);
  return synced_;
}

std::string ObjectCache::version() const {
  MutexLock l(mu_);
  return state_.version;
}

bool ObjectCache::HasSeen(const ObjectKey& key, std::string_view version) const {
  if (IsNoVersion(version)) return false;
  MutexLock l(mu_);
  const auto order = CompareVersions(state_.version, version);
  if (order) return *order >= 0;
  const auto it = state_.objects.find(KeyView(key.ns, key.name));
  return it != state_.objects.end() && (*it)->meta.resource_version == version;
}

// ---- the writer

ObjectCache::IndexKeys ObjectCache::KeysOf(const ApiObjectPtr& object) const {
  IndexKeys keys;
  if (object == nullptr) return keys;
  keys.reserve(indexes_.size());
  for (const CacheIndex& index : indexes_) keys.push_back(index.keys(*object));
  return keys;
}

void ObjectCache::Insert(State& state, const ApiObjectPtr& object, const IndexKeys& keys) {
  state.objects.insert(object);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (const std::string& key : keys[i]) state.indexes[i][key].insert(object);
  }
}

void ObjectCache::Erase(State& state, const ApiObjectPtr& object, const IndexKeys& keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (const std::string& key : keys[i]) {
      const auto it = state.indexes[i].find(key);
      if (it == state.indexes[i].end()) continue;
      it->second.erase(object);
      if (it->second.empty()) state.indexes[i].erase(it);
    }
  }
  state.objects.erase(object);
}

ObjectCache::Step ObjectCache::Decide(ApiObjectPtr old, const Change& change) {
  const ApiObjectPtr& now = change.object;
  const bool same = old != nullptr && old->meta.uid == now->meta.uid;
  Step step{.old = old, .now = old, .deltas = {}};
  if (old != nullptr && IsOlder(now->meta.resource_version, old->meta.resource_version))
    return step;  // R12
  if (change.type == ChangeType::kDeleted) {
    if (old == nullptr) return step;
    step.now = nullptr;
    // Of another uid: what is cached had gone before that one came.
    step.deltas.push_back({.type = DeltaType::kDeleted,
                           .origin = DeltaOrigin::kWatch,
                           .old = old,
                           .object = same ? now : old});
    return step;
  }
  if (same && SameVersion(*old, *now)) return step;
  step.now = now;
  if (same) {
    step.deltas.push_back({.type = DeltaType::kUpdated,
                           .origin = DeltaOrigin::kWatch,
                           .old = std::move(old),
                           .object = now});
    return step;
  }
  if (old != nullptr) {
    step.deltas.push_back(
        {.type = DeltaType::kDeleted, .origin = DeltaOrigin::kWatch, .old = old, .object = old});
  }
  step.deltas.push_back(
      {.type = DeltaType::kAdded, .origin = DeltaOrigin::kWatch, .old = nullptr, .object = now});
  return step;
}

void ObjectCache::Apply(const Change& change, std::string_view version) {
  // Nobody else writes, so what is read here stays true until it is written below.
  Step step = Decide(Get(change.object->meta.ns, change.object->meta.name), change);
  const bool changed = step.old != step.now;
  const IndexKeys old_keys = changed ? KeysOf(step.old) : IndexKeys{};
  const IndexKeys new_keys = changed ? KeysOf(step.now) : IndexKeys{};
  {
    MutexLock l(mu_);
    if (changed && step.old != nullptr) Erase(state_, step.old, old_keys);
    if (changed && step.now != nullptr) Insert(state_, step.now, new_keys);
    if (!version.empty()) state_.version = version;
  }
  for (const Delta& delta : step.deltas) Deliver(delta);
  DeliverVersion(version);
}

void ObjectCache::Advance(std::string_view version) {
  {
    MutexLock l(mu_);
    state_.version = version;
  }
  DeliverVersion(version);
}

void ObjectCache::Replace(std::vector<ApiObjectPtr> objects, std::string_view version,
                          const std::vector<ObjectKey>& unreadable) {
  // In front, so that what could be read after all wins.
  std::vector<ApiObjectPtr> listed;
  listed.reserve(unreadable.size() + objects.size());
  for (const ObjectKey& key : unreadable) {
    if (ApiObjectPtr known = Get(key.ns, key.name)) listed.push_back(std::move(known));
  }
  listed.insert(listed.end(), std::make_move_iterator(objects.begin()),
                std::make_move_iterator(objects.end()));
  objects = std::move(listed);
  {
    // In order of their keys, the last one of each: a list of several pages may repeat an object.
    const Objects last(objects.rbegin(), objects.rend());
    objects.assign(last.begin(), last.end());
  }
  // A server that was restored gives the versions that it has forgotten to others: they say
  // nothing.
  const std::vector<ApiObjectPtr> before = List();
  const bool went_back = IsOlder(version, this->version());
  const auto same = [&](const ApiObject& a, const ApiObject& b) {
    return !went_back && a.meta.uid == b.meta.uid && SameVersion(a, b);
  };
  // What listeners have is what stays: the copy of it is not needed.
  auto old = before.begin();
  for (ApiObjectPtr& object : objects) {
    while (old != before.end() && ByKey()(*old, object)) ++old;
    if (old != before.end() && !ByKey()(object, *old) && same(**old, *object)) object = *old;
  }

  State next;
  next.indexes.resize(indexes_.size());
  next.version = version;
  for (const ApiObjectPtr& object : objects) Insert(next, object, KeysOf(object));
  DeltaOrigin origin = DeltaOrigin::kRelist;
  {
    MutexLock l(mu_);
    std::swap(state_, next);
    if (!synced_) origin = DeltaOrigin::kFirstList;
  }
  DeliverDifference(before, objects, origin);
  DeliverVersion(version);
  MutexLock l(mu_);
  synced_ = true;
}

// Both are in order of their keys.
void ObjectCache::DeliverDifference(const std::vector<ApiObjectPtr>& before,
                                    const std::vector<ApiObjectPtr>& after,
                                    DeltaOrigin origin) const {
  auto old = before.begin();
  auto now = after.begin();
  while (old != before.end() || now != after.end()) {
    const bool gone = now == after.end() || (old != before.end() && ByKey()(*old, *now));
    const bool added = old == before.end() || (now != after.end() && ByKey()(*now, *old));
    const bool replaced = !gone && !added && (*old)->meta.uid != (*now)->meta.uid;
    if (gone || replaced)
      Deliver({.type = DeltaType::kDeleted, .origin = origin, .old = *old, .object = *old});
    if (added || replaced)
      Deliver({.type = DeltaType::kAdded, .origin = origin, .old = nullptr, .object = *now});
    if (!gone && !added && !replaced && *old != *now)
      Deliver({.type = DeltaType::kUpdated, .origin = origin, .old = *old, .object = *now});
    if (!added) ++old;
    if (!gone) ++now;
  }
}

void ObjectCache::Deliver(const Delta& delta) const {
  for (CacheListener* listener : listeners_) listener->OnDelta(delta);
}

void ObjectCache::DeliverVersion(std::string_view version) const {
  if (version.empty()) return;
  for (CacheListener* listener : listeners_) listener->OnVersion(version);
}

}  // namespace backfill::kube
