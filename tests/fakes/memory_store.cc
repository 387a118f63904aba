#include "tests/fakes/memory_store.h"

#include <optional>
#include <utility>

#include "operator/kube/object_writes.h"

namespace backfill::fakes {

MemoryStore::MemoryStore(const Clock* clock) : clock_(clock != nullptr ? *clock : system_clock_) {}

Result<kube::Object> MemoryStore::Get(const kube::ObjectRef& ref) {
  MutexLock l(mu_);
  const auto it = objects_.find(ref);
  if (it == objects_.end()) return kube::NotFound(ref);
  return it->second;
}

Result<std::vector<kube::Object>> MemoryStore::List(std::string_view kind, std::string_view ns) {
  MutexLock l(mu_);
  std::vector<kube::Object> found;
  const kube::ObjectRef first{.kind = std::string(kind), .ns = std::string(ns), .name = ""};
  for (auto it = objects_.lower_bound(first); it != objects_.end(); ++it) {
    if (it->first.kind != kind || (!ns.empty() && it->first.ns != ns)) break;
    found.push_back(it->second);
  }
  return found;
}

Result<kube::Object> MemoryStore::Create(const kube::Object& object,
                                         kube::Durability /*durability*/) {
  MutexLock l(mu_);
  kube::Object created = TRY(kube::MakeCreated(object, version_ + 1, clock_.Wall()));
  if (!objects_.try_emplace(created.ref, created).second) return kube::NameTaken(object.ref);
  Changed();
  return created;
}

Result<kube::Object> MemoryStore::Update(const kube::Object& object,
                                         kube::Durability /*durability*/) {
  MutexLock l(mu_);
  const auto it = objects_.find(object.ref);
  if (it == objects_.end()) return kube::NotFound(object.ref);
  std::optional<kube::Object> next = TRY(kube::MakeUpdated(it->second, object, version_ + 1));
  if (!next) return it->second;
  it->second = std::move(*next);
  Changed();
  return it->second;
}

Result<kube::Object> MemoryStore::UpdateStatus(const kube::Object& object,
                                               kube::Durability /*durability*/) {
  MutexLock l(mu_);
  const auto it = objects_.find(object.ref);
  if (it == objects_.end()) return kube::NotFound(object.ref);
  std::optional<kube::Object> next = TRY(kube::MakeStatusUpdated(it->second, object, version_ + 1));
  if (!next) return it->second;
  it->second = std::move(*next);
  Changed();
  return it->second;
}

Status MemoryStore::Delete(const kube::ObjectRef& ref, std::string_view uid) {
  MutexLock l(mu_);
  const auto it = objects_.find(ref);
  if (it == objects_.end()) return kube::NotFound(ref);
  if (!uid.empty() && it->second.uid != uid) return kube::OtherUid(ref);
  if (it->second.finalizers.empty()) {
    Erase(it);
  } else if (it->second.deletion_time.empty()) {
    it->second.deletion_time = FormatWallTime(clock_.Wall());
    it->second.resource_version = std::to_string(version_ + 1);
  }
  Changed();
  return Ok{};
}

Status MemoryStore::SetFinalizers(const kube::ObjectRef& ref, std::vector<std::string> finalizers) {
  MutexLock l(mu_);
  const auto it = objects_.find(ref);
  if (it == objects_.end()) return kube::NotFound(ref);
  it->second.finalizers = std::move(finalizers);
  it->second.resource_version = std::to_string(version_ + 1);
  if (it->second.finalizers.empty() && !it->second.deletion_time.empty()) Erase(it);
  Changed();
  return Ok{};
}

void MemoryStore::Erase(std::map<kube::ObjectRef, kube::Object>::iterator it) {
  const std::string deleted = it->second.uid;
  objects_.erase(it);
  DeleteOwnedBy(deleted);
}

void MemoryStore::DeleteOwnedBy(const std::string& uid) {
  std::vector<std::string> owners{uid};
  while (!owners.empty()) {
    const std::string owner = std::move(owners.back());
    owners.pop_back();
    std::erase_if(objects_, [&](const auto& entry) {
      if (entry.second.owner_uid != owner) return false;
      owners.push_back(entry.second.uid);
      return true;
    });
  }
}

void MemoryStore::Changed() {
  ++version_;
  changed_.notify_all();
}

Result<std::uint64_t> MemoryStore::WaitForChange(std::uint64_t seen, Time deadline,
                                                 std::stop_token stop) {
  MutexLock l(mu_);
  changed_.wait_until(mu_, std::move(stop), deadline,
                      [&]() REQUIRES(mu_) { return version_ != seen; });
  return version_;
}

}  // namespace backfill::fakes
