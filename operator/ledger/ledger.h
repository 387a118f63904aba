#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "operator/ledger/shard.h"
#include "operator/plan/plan.h"
#include "rows/extent.h"

namespace backfill::ledger {

inline constexpr int kShardsPerChunk = 500;
inline constexpr int kSlotsPerChunk = 1000;  // 500..999: split off

struct Totals {
  std::uint64_t planned = 0;
  OutcomeCounts counts{};
  std::int64_t shards = 0, shards_pending = 0, shards_in_flight = 0, shards_done = 0;
  std::uint64_t redone_at_most = 0;
  bool operator==(const Totals&) const = default;
};

// A chunk of the ledger as bytes (proto backfill.v1.LedgerChunk) with the numbers that order its
// writes.
struct ChunkImage {
  int chunk = 0;
  std::uint64_t sequence = 0;
  std::string data;
};

// The state of all shards of one stage, in memory, in chunks of 500 planned shards. Pure: whoever
// owns it writes the chunks. Not thread-safe. Mutations go through Edit(), which marks the chunk as
// dirty and keeps the totals right.
class Ledger {
 public:
  static Ledger FromPlan(const plan::Plan& plan);

  // Errors: kInvalid, "ledger chunk 3: ..." for a wrong checksum, codec, plan hash or order, a
  // missing or overlapping range. Nothing hostile in the bytes can crash it, or make it allocate
  // more than 64 MiB a chunk.
  static Result<Ledger> FromChunks(const std::vector<std::string>& chunks);

  [[nodiscard]] const std::string& plan_hash() const { return plan_hash_; }
  [[nodiscard]] Epoch highest_epoch() const { return highest_epoch_; }
  [[nodiscard]] int chunks() const { return static_cast<int>(chunks_.size()); }
  [[nodiscard]] const Totals& totals() const { return totals_; }
  [[nodiscard]] bool AllDone() const { return totals_.shards == totals_.shards_done; }

  // nullptr: no such shard. Valid until the next Split().
  [[nodiscard]] const Shard* Find(ShardId id) const;
  // Of a file source: the extent of the planned shard that `id` is, or was split off; else nullptr.
  [[nodiscard]] const rows::Extent* ExtentOf(ShardId id) const;
  // What else of the file was planned; nullopt: the source is none.
  [[nodiscard]] const std::optional<rows::FileShape>& file_shape() const { return file_shape_; }
  // In ascending order of id within a chunk, chunks in order.
  template <typename F>
  void ForEach(F f) const {
    for (const Chunk& c : chunks_)
      for (const Shard& shard : c.shards) f(shard);
  }

  // Replaces the shard of the same id. Ends the process if it does not exist or if the change
  // breaks coverage (another range, an attempt, a cursor or a count that goes back, a done shard
  // that comes back, counts that do not add up): such a ledger must not be written.
  void Update(const Shard& shard);

  // Shortens `parent` to end at `at` and adds the rest as a new pending shard, both in one chunk.
  // kConflict: no slot is left in the chunk. Ends the process unless begin < at < end and nothing
  // from `at` on has an outcome.
  Result<ShardId> Split(ShardId parent, Position at);
  [[nodiscard]] bool HasRoomToSplit(ShardId parent) const;

  // Notes that up to `records` of a shard will be sent a second time.
  void AddRedone(ShardId shard, std::uint64_t records);

  // Encodes a chunk under `epoch` with the next sequence number, and marks it clean. Ends the
  // process if `epoch` is lower than the ledger's highest.
  ChunkImage Encode(int chunk, Epoch epoch);
  [[nodiscard]] bool IsDirty(int chunk) const;
  // Of the latest Encode(): what changes now stands in every image with a higher one.
  [[nodiscard]] std::uint64_t SequenceOf(int chunk) const;
  // Of the latest Encode() or of the bytes it was loaded from; 0: never written.
  [[nodiscard]] Epoch EpochOf(int chunk) const;
  // Marks a chunk as dirty without a change: a new leader stamps its epoch into every chunk.
  void Touch(int chunk);

  static int ChunkOf(ShardId id) { return id.value / kSlotsPerChunk; }

 private:
  struct Chunk {
    std::vector<Shard> shards;  // slots 0, 1, .. planned - 1, then 500, 501, ..
    int planned = 0;
    std::vector<rows::Extent> extents;  // of a file source: of the planned ones
    Epoch epoch;
    std::uint64_t sequence = 0;
    std::uint64_t redone_at_most = 0;
    bool dirty = false;
  };
  Ledger() = default;
  Shard* Lookup(ShardId id);
  void Count(const Shard& shard, bool add);

  std::string plan_hash_;
  Epoch highest_epoch_;
  std::optional<rows::FileShape> file_shape_;
  std::vector<Chunk> chunks_;  // at least one, also for an empty plan: it keeps the hash
  Totals totals_;
};

}  // namespace backfill::ledger
