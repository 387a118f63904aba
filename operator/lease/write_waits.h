#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/ids.h"
#include "operator/ledger/ledger.h"

namespace backfill::lease {

// What waits for the write of a chunk, and until which image of it. Pure, not thread-safe.
class WriteWaits {
 public:
  enum class Kind {
    kReserved,  // the shard may be leased once it is recorded as in flight
    kDone,      // the worker may forget the shard once it is recorded as done
  };
  struct Wait {
    Kind kind = Kind::kReserved;
    ShardId shard;
    Attempt attempt;
  };

  // The ledger must outlive it.
  explicit WriteWaits(const ledger::Ledger& ledger);

  // After the change was made in the ledger: the next image of the chunk has it.
  void Add(const Wait& wait);
  // Asks for a write that nothing waits for.
  void Want(int chunk);
  // What need not wait any longer.
  std::vector<Wait> OnWritten(int chunk, std::uint64_t sequence);

  [[nodiscard]] bool IsAwaited(int chunk) const;
  // Shards that are done and not recorded as such.
  [[nodiscard]] int unrecorded_done() const { return unrecorded_done_; }

 private:
  struct Pending {
    std::uint64_t sequence = 0;  // of the first image that has it
    Wait wait;
  };
  struct Chunk {
    std::deque<Pending> pending;  // ascending by sequence
    std::uint64_t wanted = 0;
    std::uint64_t written = 0;
  };
  const ledger::Ledger& ledger_;
  std::vector<Chunk> chunks_;
  int unrecorded_done_ = 0;
};

}  // namespace backfill::lease
