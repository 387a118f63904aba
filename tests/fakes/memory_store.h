#pragma once

#include <condition_variable>
#include <map>
#include <vector>

#include "base/mutex.h"
#include "operator/kube/object_store.h"

namespace backfill::fakes {

// Objects in memory, gone with the process. Behaves as SqliteStore does; one contract suite runs
// against both. Thread-safe. Never returns
// kUnavailable or kInternal.
//
// With SetFinalizers() it is also like an API server: an object that has some is marked by Delete()
// and goes with the last of them.
class MemoryStore final : public kube::ObjectStore {
 public:
  // `clock` gives the creation times and must outlive the store; nullptr: the system's.
  explicit MemoryStore(const Clock* clock = nullptr);

  Result<kube::Object> Get(const kube::ObjectRef& ref) override;
  Result<std::vector<kube::Object>> List(std::string_view kind, std::string_view ns) override;
  Result<kube::Object> Create(const kube::Object& object, kube::Durability durability) override;
  Result<kube::Object> Update(const kube::Object& object, kube::Durability durability) override;
  Result<kube::Object> UpdateStatus(const kube::Object& object,
                                    kube::Durability durability) override;
  Status Delete(const kube::ObjectRef& ref, std::string_view uid) override;
  Result<std::uint64_t> WaitForChange(std::uint64_t seen, Time deadline,
                                      std::stop_token stop) override;

  Status SetFinalizers(const kube::ObjectRef& ref, std::vector<std::string> finalizers);

 private:
  void Erase(std::map<kube::ObjectRef, kube::Object>::iterator it) REQUIRES(mu_);
  void DeleteOwnedBy(const std::string& uid) REQUIRES(mu_);
  void Changed() REQUIRES(mu_);

  const SystemClock system_clock_;
  const Clock& clock_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::map<kube::ObjectRef, kube::Object> objects_ GUARDED_BY(mu_);
  std::uint64_t version_ GUARDED_BY(mu_) = 0;
};

}  // namespace backfill::fakes
