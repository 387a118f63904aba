#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/object_store.h"

namespace backfill::kube {

// A Backfill as a cache keeps it.
struct CachedObject final : ApiObject {
  Object object;
};
Resource CachedBackfills();

// A store for who looks at the same few objects all the time: a Backfill is read from a cache that
// a watch keeps, a ConfigMap, which may not be watched, once in a while. What was written here is
// read back at once, however far behind the cache is (R21), and after a conflict the object is read
// live, since the cache was older than what it lost against (R25). Everything else is the store's.
//
// Thread-safe; no lock is held across a call. `store`, `backfills` and `clock` must outlive it.
class CachedStore final : public ObjectStore {
 public:
  struct Options {
    // How old what is said of a ConfigMap may be. Only whoever leads writes them, through here; so
    // it is what others do by hand that is seen late.
    Duration config_map_age = std::chrono::seconds(10);
    std::size_t max_remembered = 10'000;
  };
  CachedStore(ObjectStore& store, const ObjectCache& backfills, const Clock& clock,
              const Options& options);

  Result<Object> Get(const ObjectRef& ref) override;
  Result<std::vector<Object>> List(std::string_view kind, std::string_view ns) override;
  Result<Object> Create(const Object& object, Durability durability) override;
  Result<Object> Update(const Object& object, Durability durability) override;
  Result<Object> UpdateStatus(const Object& object, Durability durability) override;
  Status Delete(const ObjectRef& ref, std::string_view uid) override;
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                      std::stop_token stop) override;

  // After a write past this store: reads the object live, so that it is not older than that.
  Status Refresh(const ObjectRef& ref);

 private:
  // Nothing that was read or written before counts any more.
  void Forget(const ObjectRef& ref);
  struct Answer {
    std::optional<Object> object;  // absent: there is none
    Time read{};
  };
  Result<Object> GetBackfill(const ObjectRef& ref);
  Result<Object> GetConfigMap(const ObjectRef& ref);
  // What a write has made of it, or that it is not known.
  Result<Object> Written(const ObjectRef& ref, Result<Object> result);
  void Remember(const ObjectRef& ref, Object object);

  ObjectStore& store_;
  const ObjectCache& backfills_;
  const Clock& clock_;
  const Options options_;
  Mutex mu_;
  std::map<ObjectRef, Object> ahead_ GUARDED_BY(mu_);  // Backfills that the cache is behind of
  std::map<ObjectRef, Answer> config_maps_ GUARDED_BY(mu_);
};

}  // namespace backfill::kube
