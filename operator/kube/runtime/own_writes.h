#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "operator/kube/client/api_object.h"

namespace backfill::kube {

// What a controller has to know of the caches it reads. Thread-safe.
class CacheView {
 public:
  virtual ~CacheView() = default;
  // Every cache has had its first list (R13).
  [[nodiscard]] virtual bool HasSynced() const = 0;
  // The cache of that resource (its plural) has that version of the object, or is past it; also by
  // a bookmark (R21, KEP-5504, KEP-5647).
  [[nodiscard]] virtual bool HasSeen(std::string_view resource, const ObjectKey& object,
                                     std::string_view version) const = 0;
};

// An object as the server answered when it was written or read.
struct ObjectVersion {
  std::string resource;  // plural
  ObjectKey object;
  std::string version;
};

// What is known of the effects of one's own writes, by the key that is reconciled:
//
//     nothing --live read, write--> awaited --cache has it--> known --write--> awaited
//        ^                             |
//        +-------- 5 min without ------+
//
// While a write is awaited, what the cache says is older than what we did, and to decide on it
// would do it twice (R21; argo-workflows#13986, #16294). A process that has just started knows
// nothing of what its predecessor wrote, which may have been a moment ago: before it creates or
// deletes, it must read live, once for each key (R22).
//
// Pure, not thread-safe.
class OwnWrites {
 public:
  struct Options {
    Duration patience = std::chrono::minutes(5);
    Duration soonest = std::chrono::milliseconds(20);  // to look again
    Duration latest = std::chrono::seconds(1);
    std::size_t max_keys = 100'000;  // more are not remembered: nothing is known of them
  };
  struct Gate {
    bool open = true;
    Duration look_again{};  // unless it is open
    bool gave_up = false;   // the patience ended: nothing is known any more
  };

  explicit OwnWrites(const Options& options) : options_(options) {}

  void OnWrite(const ObjectKey& key, const ObjectVersion& written, Time now);
  // The cache is awaited as after a write: else the next reconcile would decide on what is older
  // than what this one has seen.
  void OnLiveRead(const ObjectKey& key, const ObjectVersion& read, Time now);
  // The object is gone: so is what was known.
  void Forget(const ObjectKey& key) { keys_.erase(key); }

  // Whether the key may be reconciled.
  Gate Check(const ObjectKey& key, const CacheView& caches, Time now);
  // Whether nothing is known, so that the first create or delete must follow a live read.
  [[nodiscard]] bool MustReadLive(const ObjectKey& key) const;

  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  struct Awaited {
    std::string version;
    Time since{};
  };
  struct Known {
    bool read_live = false;
    std::map<std::pair<std::string, ObjectKey>, Awaited> awaited;  // the last write of each
  };
  void Await(const ObjectKey& key, const ObjectVersion& object, bool read_live, Time now);

  const Options options_;
  std::map<ObjectKey, Known> keys_;
};

}  // namespace backfill::kube
