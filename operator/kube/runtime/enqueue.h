#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/runtime/own_writes.h"
#include "operator/kube/runtime/work_queue.h"
#include "operator/kube/runtime/write_guard.h"

namespace backfill::kube {

// From the caches to a controller's queue. Both are called by the threads of informers and return
// at once. Queue and guard must outlive those threads.

// Of the kind that is reconciled: each change adds its key, what a list repeats with low priority
// (R17). When the object goes, or another takes its name, what was known of its writes goes, too.
class EnqueueObject final : public CacheListener {
 public:
  EnqueueObject(WorkQueue& queue, WriteGuard& guard) : queue_(queue), guard_(guard) {}
  void OnDelta(const Delta& delta) override;

 private:
  WorkQueue& queue_;
  WriteGuard& guard_;
};

// Of a kind that it owns: a change adds the key of the owner, by the owner reference whose
// `controller` is set, after a second, so that those of many children are one (R17). What was
// expected is fulfilled (R21).
class EnqueueOwner final : public CacheListener {
 public:
  // `child`: the kind of the cache; `owner`: that of the controller.
  EnqueueOwner(WorkQueue& queue, WriteGuard& guard, const ResourceType& child,
               const ResourceType& owner, Duration merge = std::chrono::seconds(1));
  void OnDelta(const Delta& delta) override;

 private:
  void Add(const ApiObjectPtr& child, DeltaOrigin origin);

  WorkQueue& queue_;
  WriteGuard& guard_;
  const std::string resource_;
  const std::string owner_group_;  // of any version: which one wrote the reference does not matter
  const std::string owner_kind_;
  const Duration merge_;
};

// Of any other kind: a change adds the keys that `map` finds in the object, before and after it, as
// EnqueueOwner does.
class EnqueueMapped final : public CacheListener {
 public:
  // Pure: what the object says, such as a label with a name.
  using Map = std::function<std::vector<ObjectKey>(const ApiObject& object)>;
  EnqueueMapped(WorkQueue& queue, Map map, Duration merge = std::chrono::seconds(1));
  void OnDelta(const Delta& delta) override;

 private:
  WorkQueue& queue_;
  const Map map_;
  const Duration merge_;
};

// All caches of a process, by the plural of their resource. They must outlive it; none is added
// once a controller has started.
class Caches final : public CacheView {
 public:
  // `ns`: what it has is of this namespace alone; "": of all.
  void Add(const ResourceType& type, const ObjectCache& cache, std::string ns = {}) {
    caches_.push_back({std::string(type.plural), std::move(ns), &cache});
  }
  [[nodiscard]] bool HasSynced() const override;
  // Of a resource or namespace that is not cached nothing is waited for.
  [[nodiscard]] bool HasSeen(std::string_view resource, const ObjectKey& object,
                             std::string_view version) const override;

 private:
  struct Entry {
    std::string resource;
    std::string ns;
    const ObjectCache* cache = nullptr;
  };
  std::vector<Entry> caches_;
};

}  // namespace backfill::kube
