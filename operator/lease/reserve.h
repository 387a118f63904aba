#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace backfill::lease {

// The way of a shard from pending to a worker. A grant has to be in the ledger before it is sent,
// and a write takes time; so shards are recorded as in flight before anyone asks for them, and a
// request is served from those at once.
//
//   pending --Begin--> being written --Written--> ready --Take--> leased
//
// Pure, not thread-safe. All operations are O(log n) of the shards in their state.
class Reserve {
 public:
  void AddPending(ShardId shard) { pending_.insert(pending_.end(), shard); }
  // The lowest pending one.
  [[nodiscard]] std::optional<ShardId> NextPending() const;
  void Begin(ShardId shard, Attempt attempt);
  // Of that attempt, unless it was taken back meanwhile.
  void Written(ShardId shard, Attempt attempt);
  [[nodiscard]] bool HasReady() const { return !ready_.empty(); }
  ShardId Take(Time now);  // requires HasReady()
  // Everything that was reserved and not taken; the caller makes it pending again.
  std::vector<ShardId> TakeBack();

  // How many were taken in the last `ahead`: as many will be asked for in the next.
  int TakenLately(Time now, Duration ahead);
  [[nodiscard]] int reserved() const { return static_cast<int>(writing_.size() + ready_.size()); }
  // No shard can be handed out, now or soon.
  [[nodiscard]] bool Empty() const { return pending_.empty() && reserved() == 0; }

 private:
  std::set<ShardId> pending_;
  std::map<ShardId, Attempt> writing_;
  std::set<ShardId> ready_;
  std::deque<Time> taken_;  // bounded by what is taken in that time
};

}  // namespace backfill::lease
