#pragma once

#include <condition_variable>
#include <map>
#include <vector>

#include "base/mutex.h"
#include "operator/kube/object_store.h"

namespace backfill::kube {

// Objects in memory, gone with the process: for tests and for commands that store nothing. Behaves
// as SqliteStore does; one contract suite runs against both. Thread-safe. Never returns
// kUnavailable or kInternal.
class MemoryStore final : public ObjectStore {
 public:
  // `clock` gives the creation times and must outlive the store; nullptr: the system's.
  explicit MemoryStore(const Clock* clock = nullptr);

  Result<Object> Get(const ObjectRef& ref) override;
  Result<std::vector<Object>> List(std::string_view kind, std::string_view ns) override;
  Result<Object> Create(const Object& object, Durability durability) override;
  Result<Object> Update(const Object& object, Durability durability) override;
  Result<Object> UpdateStatus(const Object& object, Durability durability) override;
  Status Delete(const ObjectRef& ref, std::string_view uid) override;
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                      std::stop_token stop) override;

 private:
  void DeleteOwnedBy(const std::string& uid) REQUIRES(mu_);
  void Changed() REQUIRES(mu_);

  const SystemClock system_clock_;
  const Clock& clock_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::map<ObjectRef, Object> objects_ GUARDED_BY(mu_);
  std::uint64_t version_ GUARDED_BY(mu_) = 0;
};

}  // namespace backfill::kube
