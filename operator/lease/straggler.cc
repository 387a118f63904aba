#include "operator/lease/straggler.h"

#include <algorithm>
#include <compare>
#include <functional>
#include <set>

namespace backfill::lease {
namespace {

struct Candidate {
  bool whole = false;  // before others: moving a shard is better than cutting one
  std::uint64_t rest = 0;
  ShardId shard;
  auto operator<=>(const Candidate&) const = default;
};

bool CanBeAsked(const Lease& lease) {
  return lease.session && !lease.gone && !lease.finished && lease.naming == Naming::kNamed &&
         lease.shrink_reports == 0;
}

}  // namespace

std::vector<Shrinking> ChooseShrinks(const LeaseTable& table, const ledger::Ledger& ledger,
                                     std::int64_t idle, std::uint64_t min_split) {
  std::vector<Candidate> candidates;
  for (const auto& [shard, lease] : table.leases()) {
    if (!CanBeAsked(lease)) continue;
    const ledger::Shard& s = *ledger.Find(shard);
    const std::uint64_t rest = Range{s.cursor, s.range.end}.size();
    const bool untouched = s.counts.total() == 0 && s.in_flight == 0;
    if (untouched && table.Active(table.sessions().at(*lease.session)) > 1) {
      candidates.push_back({.whole = true, .rest = rest, .shard = shard});
    } else if (rest / 2 >= min_split && ledger.HasRoomToSplit(shard)) {
      candidates.push_back({.whole = false, .rest = rest, .shard = shard});
    }
  }
  std::ranges::sort(candidates, std::greater<>());
  std::vector<Shrinking> chosen;
  std::set<SessionId> asked;  // one per worker: it could lose all that it has
  for (const Candidate& c : candidates) {
    if (std::cmp_greater_equal(chosen.size(), idle)) break;
    if (!asked.insert(*table.leases().at(c.shard).session).second) continue;
    const ledger::Shard& s = *ledger.Find(c.shard);
    chosen.push_back({c.shard, c.whole ? s.range.begin : Advance(s.cursor, c.rest / 2)});
  }
  return chosen;
}

}  // namespace backfill::lease
