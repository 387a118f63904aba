#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/range.h"

namespace backfill::ledger {

struct OutcomeCounts {
  std::uint64_t updated = 0, unchanged = 0, skipped = 0, failed = 0;
  [[nodiscard]] std::uint64_t total() const { return updated + unchanged + skipped + failed; }
  bool operator==(const OutcomeCounts&) const = default;
};

enum class ShardState { kPending = 0, kInFlight = 1, kDone = 2 };

// The state of one shard. Invariant for dense sources:
// counts.total() == (cursor - range.begin) + number of bits set in done_above.
struct Shard {
  ShardId id;
  Range range;                // the end shrinks when a straggler is split
  std::uint64_t planned = 0;  // records
  ShardState state = ShardState::kPending;
  Attempt attempt;         // of the latest lease; 0: never leased
  std::string holder;      // worker/instance while in flight; empty: reserved for whoever asks next
  Epoch epoch;             // of the leader that leased it or took it up
  Position cursor = 0;     // every record before it has an outcome
  std::string done_above;  // bitmap, lowest bit first: the i-th record from cursor on has an
                           // outcome; no zero bytes at the end
  OutcomeCounts counts;
  std::uint32_t in_flight = 0;  // records sent and not answered at the last report
  bool operator==(const Shard&) const = default;
};

// Bounds on what a worker can make a shard carry, so that a chunk stays below the store's limit,
// and the next worker can go on from it: none has more than 4,096 records of a lease beyond its
// cursor.
inline constexpr std::size_t kMaxBitmapBytes = 512;
inline constexpr std::size_t kMaxHolderBytes = 256;
inline constexpr std::uint32_t kMaxAttempt = 1'000'000'000;

// Number of bits set.
std::uint64_t CountBits(const std::string& bitmap);

// Whether the record at `position` has an outcome in (cursor, done_above).
bool IsCovered(Position position, Position cursor, const std::string& done_above);

// Removes zero bytes at the end.
void TrimBitmap(std::string& bitmap);

// What is wrong with a shard taken alone; empty: nothing. Nothing hostile in it is undefined
// behaviour.
std::string_view Inconsistency(const Shard& shard);

}  // namespace backfill::ledger
