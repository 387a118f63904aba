#include "operator/lease/reserve.h"

namespace backfill::lease {

std::optional<ShardId> Reserve::NextPending() const {
  if (pending_.empty()) return std::nullopt;
  return *pending_.begin();
}

void Reserve::Begin(ShardId shard, Attempt attempt) {
  pending_.erase(shard);
  writing_[shard] = attempt;
}

void Reserve::Written(ShardId shard, Attempt attempt) {
  const auto it = writing_.find(shard);
  if (it == writing_.end() || it->second != attempt) return;
  writing_.erase(it);
  ready_.insert(shard);
}

ShardId Reserve::Take(Time now) {
  taken_.push_back(now);
  return ready_.extract(ready_.begin()).value();
}

std::vector<ShardId> Reserve::TakeBack() {
  std::vector<ShardId> shards(ready_.begin(), ready_.end());
  for (const auto& [shard, attempt] : writing_) shards.push_back(shard);
  ready_.clear();
  writing_.clear();
  return shards;
}

int Reserve::TakenLately(Time now, Duration ahead) {
  while (!taken_.empty() && now - taken_.front() > ahead) taken_.pop_front();
  return static_cast<int>(taken_.size());
}

}  // namespace backfill::lease
