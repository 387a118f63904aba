#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/range.h"
#include "worker/engine/partitions.h"
#include "worker/engine/record.h"

namespace backfill::worker {

// Records of one lease that were read and wait to be sent, by partition: what waits for a hot one
// is not in the way of the others. Within a partition they stay in the order of their positions.
// All together they lie within the lease's window, which bounds them. Not thread-safe.
class PartitionQueues {
 public:
  static constexpr std::size_t kReadAhead = 256;

  void Add(PartitionSlot slot, Record record);
  // Of those of this partition the first `records`; there are so many.
  void Take(PartitionSlot slot, std::uint32_t records, std::vector<Record>& batch);
  // Takes out those from that position on; returns how many.
  std::size_t DropFrom(Position end);

  // Slots beyond this one have never had a record.
  [[nodiscard]] std::size_t slots() const { return queues_.size(); }
  [[nodiscard]] std::size_t size(PartitionSlot slot) const {
    return slot < queues_.size() ? queues_[slot].size() : 0;
  }
  // Of one that has some.
  [[nodiscard]] Position First(PartitionSlot slot) const { return queues_[slot].front().position; }

  // No partition of this lease has too few to go on with: nothing more needs to be read now.
  [[nodiscard]] bool HasEnough(std::uint32_t batch_size) const;

 private:
  std::vector<std::deque<Record>> queues_;  // by slot
  std::vector<bool> met_;                   // likewise: has had a record
  std::size_t partitions_ = 0;              // that have had one
};

}  // namespace backfill::worker
