#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "operator/ledger/shard.h"
#include "operator/plan/plan.h"

namespace backfill::ledger {

inline constexpr int kShardsPerChunk = 500;
inline constexpr int kSlotsPerChunk = 1000;  // 500..999: split off

struct Totals {
  std::uint64_t planned = 0;
  OutcomeCounts counts;
  std::int64_t shards = 0, shards_pending = 0, shards_in_flight = 0, shards_done = 0;
  std::uint64_t redone_at_most = 0;
  bool operator==(const Totals&) const = default;
};

// A chunk of the ledger as bytes (proto backfill.v1.LedgerChunk) with the numbers that order its writes.
struct ChunkImage {
  int chunk = 0;
  std::uint64_t sequence = 0;
  std::string data;
};

// The state of all shards of one stage, in memory, in chunks of 500 planned shards. Pure: whoever owns it writes the
// chunks. Not thread-safe. Mutations go through Edit(), which marks the chunk as dirty and keeps the totals right.
class Ledger {
 public:
  static Ledger FromPlan(const plan::Plan& plan);

  // Errors: kInvalid, "ledger chunk 3: ..." for a wrong checksum, codec, plan hash or order, a missing or overlapping
  // range. Nothing hostile in the bytes can crash it, or make it allocate more than 64 MiB a chunk.
  static Result<Ledger> FromChunks(const std::vector<std::string>& chunks);

  [[nodiscard]] const std::string& plan_hash() const { return plan_hash_; }
  [[nodiscard]] Epoch highest_epoch() const { return highest_epoch_; }
  [[nodiscard]] int chunks() const { return static_cast<int>(chunks_.size()); }
  [[nodiscard]] const Totals& totals() const { return totals_; }
  [[nodiscard]] bool AllDone() const { return totals_.shards == totals_.shards_done; }

  // nullptr: no such shard.
  [[nodiscard]] const Shard* Find(ShardId id) const;
  // In ascending order of id within a chunk, chunks in order.
  template <typename F>
  void ForEach(F f) const {
    for (const Chunk& c : chunks_)
      for (const auto& [slot, shard] : c.shards) f(shard);
  }

  // Replaces the shard of the same id. Ends the process if it does not exist or if the change breaks coverage
  // (another begin, a cursor that goes back while the attempt is the same, counts that do not add up).
  void Update(const Shard& shard);

  // Shortens `parent` to end at `at` and adds the rest as a new pending shard, both in one chunk. kConflict: no slot is
  // left in the chunk.
  Result<ShardId> Split(ShardId parent, Position at);

  void AddRedone(ShardId shard, std::uint64_t records);

  // Encodes a chunk under `epoch` with the next sequence number, and marks it clean.
  ChunkImage Encode(int chunk, Epoch epoch);
  [[nodiscard]] bool IsDirty(int chunk) const;
  // Marks a chunk as dirty without a change: a new leader stamps its epoch into every chunk.
  void Touch(int chunk);

  static int ChunkOf(ShardId id) { return id.value / kSlotsPerChunk; }

 private:
  struct Chunk {
    std::map<int, Shard> shards;  // by slot
    std::uint64_t sequence = 0;
    std::uint64_t redone_at_most = 0;
    bool dirty = false;
  };
  Ledger() = default;
  void Count(const Shard& shard, int sign);

  std::string plan_hash_;
  Epoch highest_epoch_;
  std::vector<Chunk> chunks_;
  Totals totals_;
};

}  // namespace backfill::ledger
