#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "base/range.h"
#include "operator/lease/lease_table.h"
#include "operator/ledger/ledger.h"

// The tail of the work: workers are idle, and all that is left is with others.
namespace backfill::lease {

struct Shrinking {
  ShardId shard;
  Position end = 0;  // asked for; the worker decides, since it knows what it has sent
};

// At most `idle` leases to ask for a part, one per worker: first those that wait untouched behind
// another one, whole; then half of the rest of the longest, if that is at least `min_split`. Leases
// that are being asked already are left out.
std::vector<Shrinking> ChooseShrinks(const LeaseTable& table, const ledger::Ledger& ledger,
                                     std::int64_t idle, std::uint64_t min_split);

}  // namespace backfill::lease
