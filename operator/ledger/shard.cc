#include "operator/ledger/shard.h"

#include <algorithm>
#include <bit>

namespace backfill::ledger {
namespace {

// The number of positions from the first bit to the last one set. The bitmap has no zero bytes at
// its end.
std::uint64_t SpanOfBits(const std::string& bitmap) {
  if (bitmap.empty()) return 0;
  const auto last = static_cast<unsigned char>(bitmap.back());
  return 8 * (bitmap.size() - 1) + static_cast<std::uint64_t>(std::bit_width(last));
}

}  // namespace

std::uint64_t CountBits(const std::string& bitmap) {
  std::uint64_t n = 0;
  for (const char c : bitmap) {
    n += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned char>(c)));
  }
  return n;
}

bool IsCovered(Position position, Position cursor, const std::string& done_above) {
  if (position < cursor) return true;
  const std::uint64_t bit = Range{cursor, position}.size();
  return bit / 8 < done_above.size() &&
         (static_cast<unsigned char>(done_above[bit / 8]) >> (bit % 8) & 1) != 0;
}

void TrimBitmap(std::string& bitmap) {
  bitmap.erase(bitmap.find_last_not_of('\0') + 1);  // npos + 1 is 0
}

std::string_view Inconsistency(const Shard& s) {
  if (s.id.value < 0) return "a negative id";
  if (s.range.empty()) return "an empty range";
  if (s.planned != s.range.size()) return "a planned count that is not the size of the range";
  if (s.attempt.value > kMaxAttempt) return "an attempt out of bounds";
  if (s.cursor < s.range.begin || s.cursor > s.range.end) return "a cursor outside the range";
  if (s.done_above.size() > kMaxBitmapBytes) return "a bitmap that is too long";
  if (!s.done_above.empty() && s.done_above.back() == '\0') return "zeros at the end of a bitmap";
  const Range rest{s.cursor, s.range.end};
  if (SpanOfBits(s.done_above) > rest.size()) return "a bitmap that reaches beyond the range";
  std::uint64_t total = 0;
  for (const std::uint64_t n :
       {s.counts.updated, s.counts.unchanged, s.counts.skipped, s.counts.failed}) {
    if (__builtin_add_overflow(total, n, &total)) return "counts that overflow";
  }
  if (total != Range{s.range.begin, s.cursor}.size() + CountBits(s.done_above)) {
    return "counts that differ from cursor and bitmap";
  }
  if (s.holder.size() > kMaxHolderBytes ||
      !std::ranges::all_of(s.holder, [](char c) { return c > ' ' && c < '\x7f'; })) {
    return "a holder that is too long or not plain text";
  }
  switch (s.state) {
    case ShardState::kInFlight:
      if (s.attempt.value == 0) return "in flight without an attempt";
      return {};
    case ShardState::kDone:
      if (s.cursor != s.range.end) return "done with records left";
      break;
    case ShardState::kPending:
      break;
  }
  if (!s.holder.empty() || s.epoch.value != 0 || s.in_flight != 0)
    return "a holder without a lease";
  return {};
}

}  // namespace backfill::ledger
