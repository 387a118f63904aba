#include "operator/lease/lease_table.h"

#include <algorithm>

namespace backfill::lease {

Lease* LeaseTable::Find(ShardId shard) {
  const auto it = leases_.find(shard);
  return it == leases_.end() ? nullptr : &it->second;
}

Session* LeaseTable::Find(SessionId session) {
  const auto it = sessions_.find(session);
  return it == sessions_.end() ? nullptr : &it->second;
}

std::optional<SessionId> LeaseTable::SessionOf(const std::string& worker) const {
  const auto it = by_worker_.find(worker);
  if (it == by_worker_.end()) return std::nullopt;
  return it->second;
}

void LeaseTable::Open(SessionId id, const std::string& worker, const std::string& holder,
                      Time now) {
  sessions_[id] = {.worker = worker, .holder = holder, .heard = now};
  by_worker_[worker] = id;
}

void LeaseTable::Detach(SessionId id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  for (const ShardId shard : it->second.leases) {
    Lease& lease = leases_.at(shard);
    lease.session.reset();
    lease.shrink_reports = 0;
  }
  by_worker_.erase(it->second.worker);
  sessions_.erase(it);
}

Lease& LeaseTable::Put(ShardId shard, const Lease& lease) { return leases_[shard] = lease; }

void LeaseTable::Attach(ShardId shard, SessionId session) {
  leases_.at(shard).session = session;
  sessions_.at(session).leases.insert(shard);
}

void LeaseTable::Drop(ShardId shard) {
  const auto it = leases_.find(shard);
  if (it == leases_.end()) return;
  if (it->second.session) sessions_.at(*it->second.session).leases.erase(shard);
  leases_.erase(it);
}

std::vector<ShardId> LeaseTable::Accepted(SessionId id) const {
  std::vector<ShardId> shards;
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return shards;
  for (const ShardId shard : it->second.leases) {
    if (leases_.at(shard).accepted()) shards.push_back(shard);
  }
  return shards;
}

std::vector<ShardId> LeaseTable::Extended(SessionId id) const {
  std::vector<ShardId> shards = Accepted(id);
  std::erase_if(shards, [this](ShardId shard) { return !leases_.at(shard).extended(); });
  return shards;
}

int LeaseTable::Active(const Session& session) const {
  return static_cast<int>(std::ranges::count_if(session.leases, [this](ShardId shard) {
    const Lease& lease = leases_.at(shard);
    return !lease.finished && lease.naming != Naming::kOmitted;
  }));
}

}  // namespace backfill::lease
