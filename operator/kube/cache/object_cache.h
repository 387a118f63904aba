#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/client/wire.h"

namespace backfill::kube {

enum class DeltaType { kAdded, kUpdated, kDeleted };

// Where a delta comes from. The first list and what a later one repeats can wait for what happens
// now (R17).
enum class DeltaOrigin { kFirstList, kRelist, kWatch };

struct Delta {
  DeltaType type = DeltaType::kAdded;
  DeltaOrigin origin = DeltaOrigin::kWatch;
  ApiObjectPtr old;  // null if added
  // As it is now. If deleted, as it was last known: from a watch its last state, from a relist
  // that of `old`, which may have changed since.
  ApiObjectPtr object;
};

// Called by the one thread that writes the cache, in order, without any lock held, after readers
// see the change. Must return soon: what takes long goes into a queue. Deltas may be merged: two
// changes that happened while the watch was broken arrive as one.
class CacheListener {
 public:
  virtual ~CacheListener() = default;
  virtual void OnDelta(const Delta& delta) = 0;
  // All that happened up to this version has been delivered (R21). Also without a delta.
  virtual void OnVersion(std::string_view version) { static_cast<void>(version); }
};

// Under which keys an object is found. Pure: it is asked again when the object goes.
struct CacheIndex {
  std::string name;
  std::function<std::vector<std::string>(const ApiObject&)> keys;
};

// By the uid of the owner whose `controller` is set: the pods of a Job, the Jobs of a Backfill.
CacheIndex ByController();
// By the value of a label, also the empty one; objects without it are not found.
CacheIndex ByLabel(std::string name, std::string label);

// The objects of one resource as of one version. Readers see the state before or after a change,
// never a part of it, and keep what they have got: objects are never edited (R10).
//
// Thread-safe for readers. `Replace`, `Apply` and `Advance` belong to one thread, the Informer's.
// Listeners must outlive that thread, and be added before it starts.
//
// Rules: an object that is certainly older than the cached one of the same uid changes nothing, and
// neither does the same version again (R12); the same name with another uid is a deletion and an
// addition (R12); `Replace` is atomic and delivers deletions (R8); indexes change together with the
// objects (R13).
class ObjectCache {
 public:
  explicit ObjectCache(std::vector<CacheIndex> indexes = {});
  ~ObjectCache();
  ObjectCache(const ObjectCache&) = delete;
  ObjectCache& operator=(const ObjectCache&) = delete;

  void AddListener(CacheListener* listener) { listeners_.push_back(listener); }

  // ---- any thread
  [[nodiscard]] ApiObjectPtr Get(std::string_view ns, std::string_view name) const;
  // By namespace and name; without `ns` of all.
  [[nodiscard]] std::vector<ApiObjectPtr> List(
      std::optional<std::string_view> ns = std::nullopt) const;
  // By namespace and name. Ends the process if there is no such index: it is a bug of the caller.
  [[nodiscard]] std::vector<ApiObjectPtr> Find(std::string_view index, std::string_view key) const;
  [[nodiscard]] std::size_t size() const;
  // The first list is here, and the listeners have got it (R13).
  [[nodiscard]] bool HasSynced() const;
  [[nodiscard]] std::string version() const;
  // What a write returned as its version is in the cache, or has been overtaken (R21). Where
  // versions are not numbers, only the latest one and those of the cached objects are recognised:
  // so give the key of what was written, and wait with a bound.
  [[nodiscard]] bool HasSeen(const ObjectKey& key, std::string_view version) const;

  // ---- the writer
  // Of what is `unreadable` the cache keeps what it has: it is out of date, but not gone.
  void Replace(std::vector<ApiObjectPtr> objects, std::string_view version,
               const std::vector<ObjectKey>& unreadable = {});
  // `version` may be empty: then the cache's own stays.
  void Apply(const Change& change, std::string_view version);
  void Advance(std::string_view version);

 private:
  using KeyView = std::pair<std::string_view, std::string_view>;
  struct ByKey {
    using is_transparent = void;
    static KeyView Of(const ApiObjectPtr& object) { return {object->meta.ns, object->meta.name}; }
    static KeyView Of(KeyView key) { return key; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) < Of(b);
    }
  };
  using Objects = std::set<ApiObjectPtr, ByKey>;
  using IndexEntries = std::map<std::string, Objects, std::less<>>;
  using IndexKeys = std::vector<std::vector<std::string>>;  // by index
  struct State {
    Objects objects;
    std::vector<IndexEntries> indexes;  // as declared
    std::string version;
  };

  // What one change does: a deletion, an addition or an update, or the first two.
  struct Step {
    ApiObjectPtr old;
    ApiObjectPtr now;
    std::vector<Delta> deltas;
  };
  [[nodiscard]] static Step Decide(ApiObjectPtr old, const Change& change);

  [[nodiscard]] IndexKeys KeysOf(const ApiObjectPtr& object) const;
  static void Insert(State& state, const ApiObjectPtr& object, const IndexKeys& keys);
  static void Erase(State& state, const ApiObjectPtr& object, const IndexKeys& keys);
  void Deliver(const Delta& delta) const;
  void DeliverDifference(const std::vector<ApiObjectPtr>& before,
                         const std::vector<ApiObjectPtr>& after, DeltaOrigin origin) const;
  void DeliverVersion(std::string_view version) const;

  // ---- constant once the writer has started
  const std::vector<CacheIndex> indexes_;
  std::vector<CacheListener*> listeners_;

  mutable Mutex mu_;
  State state_ GUARDED_BY(mu_);
  bool synced_ GUARDED_BY(mu_) = false;
};

}  // namespace backfill::kube
