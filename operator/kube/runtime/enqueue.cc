#include "operator/kube/runtime/enqueue.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace backfill::kube {
namespace {

Priority PriorityOf(DeltaOrigin origin) {
  switch (origin) {
    case DeltaOrigin::kFirstList:
    case DeltaOrigin::kRelist:
      return Priority::kLow;
    case DeltaOrigin::kWatch:
      return Priority::kNormal;
  }
  return Priority::kNormal;
}

// Of apiVersion: "batch/v1" is of "batch", "v1" of the core group.
std::string_view GroupOf(std::string_view api_version) {
  const std::size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

}  // namespace

void EnqueueObject::OnDelta(const Delta& delta) {
  const ObjectKey key = delta.object->meta.key();
  if (delta.type == DeltaType::kDeleted) guard_.Forget(key);
  queue_.Add(key, PriorityOf(delta.origin));
}

EnqueueOwner::EnqueueOwner(WorkQueue& queue, WriteGuard& guard, const ResourceType& child,
                           const ResourceType& owner, Duration merge)
    : queue_(queue),
      guard_(guard),
      resource_(child.plural),
      owner_group_(owner.group),
      owner_kind_(owner.kind),
      merge_(merge) {}

void EnqueueOwner::OnDelta(const Delta& delta) {
  switch (delta.type) {
    case DeltaType::kAdded:
      guard_.OnAdded(resource_, delta.object->meta.key());
      break;
    case DeltaType::kUpdated:
      Add(delta.old, delta.origin);  // the owner may be another one now
      break;
    case DeltaType::kDeleted:
      guard_.OnDeleted(resource_, delta.object->meta.key(), delta.object->meta.uid);
      break;
  }
  Add(delta.object, delta.origin);
}

void EnqueueOwner::Add(const ApiObjectPtr& child, DeltaOrigin origin) {
  const OwnerReference* owner = child->meta.controller();
  if (owner == nullptr || owner->kind != owner_kind_ ||
      GroupOf(owner->api_version) != owner_group_) {
    return;
  }
  queue_.AddAfter({.ns = child->meta.ns, .name = owner->name}, merge_, PriorityOf(origin));
}

EnqueueMapped::EnqueueMapped(WorkQueue& queue, Map map, Duration merge)
    : queue_(queue), map_(std::move(map)), merge_(merge) {}

void EnqueueMapped::OnDelta(const Delta& delta) {
  for (const ApiObjectPtr& object : {delta.old, delta.object}) {
    if (object == nullptr) continue;
    for (const ObjectKey& key : map_(*object))
      queue_.AddAfter(key, merge_, PriorityOf(delta.origin));
  }
}

bool Caches::HasSynced() const {
  return std::all_of(caches_.begin(), caches_.end(),
                     [](const Entry& entry) { return entry.cache->HasSynced(); });
}

bool Caches::HasSeen(std::string_view resource, const ObjectKey& object,
                     std::string_view version) const {
  return std::all_of(caches_.begin(), caches_.end(), [&](const Entry& entry) {
    const bool has_it = entry.resource == resource && (entry.ns.empty() || entry.ns == object.ns);
    return !has_it || entry.cache->HasSeen(object, version);
  });
}

}  // namespace backfill::kube
