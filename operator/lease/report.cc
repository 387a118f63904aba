#include "operator/lease/report.h"

namespace backfill::lease {
namespace {

using ledger::OutcomeCounts;
using ledger::Shard;

bool CountsGrow(const OutcomeCounts& from, const OutcomeCounts& to) {
  return from.updated <= to.updated && from.unchanged <= to.unchanged &&
         from.skipped <= to.skipped && from.failed <= to.failed;
}

// Every record with an outcome in `from` has one in `to`.
bool CoverageGrows(const Shard& from, const Shard& to) {
  if (to.cursor < from.cursor) return false;
  for (std::size_t bit = 0; bit < 8 * from.done_above.size(); ++bit) {
    const Position p = Advance(from.cursor, bit);
    if (ledger::IsCovered(p, from.cursor, from.done_above) &&
        !ledger::IsCovered(p, to.cursor, to.done_above)) {
      return false;
    }
  }
  return true;
}

Judgement Broken(std::string_view problem) { return {Judgement::Kind::kBroken, problem}; }

}  // namespace

bool IsReturnedUntouched(const LeaseReport& report, const Shard& shard) {
  return report.end == shard.range.begin && report.cursor == shard.range.begin &&
         report.counts.total() == 0 && shard.counts.total() == 0 &&
         ledger::CountBits(report.done_above) == 0;
}

bool IsComplete(const LeaseReport& report, const Shard& shard) {
  return report.counts.total() == Range{shard.range.begin, report.end}.size();
}

Shard WithProgress(const LeaseReport& report, const Shard& shard) {
  Shard next = shard;
  next.cursor = report.cursor;
  next.done_above = report.done_above;
  ledger::TrimBitmap(next.done_above);
  next.counts = report.counts;
  next.in_flight = report.in_flight;
  return next;
}

Judgement Judge(const LeaseReport& report, const Shard& shard) {
  using Kind = Judgement::Kind;
  if (report.end > shard.range.end) return Broken("the end is beyond the shard's");
  if (report.end < shard.range.begin) return Broken("the end is before the shard's begin");
  if (report.done_above.size() > ledger::kMaxBitmapBytes) return Broken("the bitmap is too long");
  if (IsReturnedUntouched(report, shard)) return {Kind::kNews};
  Shard claimed = WithProgress(report, shard);
  claimed.range.end = report.end;
  claimed.planned = claimed.range.size();
  const std::string_view problem = ledger::Inconsistency(claimed);
  if (!problem.empty()) return Broken(problem);
  if (claimed.counts.total() < shard.counts.total()) return {Kind::kNoNews};
  if (!CountsGrow(shard.counts, claimed.counts) || !CoverageGrows(shard, claimed)) {
    return Broken("outcomes were taken back");
  }
  const bool same = claimed.counts.total() == shard.counts.total() && report.end == shard.range.end;
  return {same ? Kind::kNoNews : Kind::kNews};
}

}  // namespace backfill::lease
