#pragma once

#include <string_view>

#include "operator/lease/lease_book.h"

// What a report of a lease means next to what the ledger has. Pure functions.
namespace backfill::lease {

struct Judgement {
  enum class Kind {
    kNews,    // outcomes or an end that the ledger does not have
    kNoNews,  // nothing new; older than what is known, or the same
    kBroken,  // contradicts itself, or takes back what was reported
  };
  Kind kind = Kind::kNoNews;
  std::string_view problem{};  // of kBroken
};

// `shard`: in flight under the lease that the report names. A report covers [begin, report.end),
// which may be less than the shard: then the worker has taken a Shrink. It may be nothing at all:
// then the lease comes back untouched.
Judgement Judge(const LeaseReport& report, const ledger::Shard& shard);

// The worker holds no record of it any more, and none has an outcome.
bool IsReturnedUntouched(const LeaseReport& report, const ledger::Shard& shard);

// Every record of [begin, report.end) has an outcome.
bool IsComplete(const LeaseReport& report, const ledger::Shard& shard);

// The shard with the report's outcomes, its range as it was. Only for kNews.
ledger::Shard WithProgress(const LeaseReport& report, const ledger::Shard& shard);

}  // namespace backfill::lease
