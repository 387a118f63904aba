#include "worker/engine/partition_queues.h"

#include <algorithm>
#include <utility>

namespace backfill::worker {

void PartitionQueues::Add(PartitionSlot slot, Record record) {
  if (slot >= queues_.size()) {
    queues_.resize(slot + std::size_t{1});
    met_.resize(slot + std::size_t{1});
  }
  if (!met_[slot]) {
    met_[slot] = true;
    ++partitions_;
  }
  queues_[slot].push_back(std::move(record));
}

void PartitionQueues::Take(PartitionSlot slot, std::uint32_t records, std::vector<Record>& batch) {
  std::deque<Record>& queue = queues_[slot];
  batch.resize(records);
  for (Record& record : batch) {
    record = std::move(queue.front());
    queue.pop_front();
  }
}

std::size_t PartitionQueues::DropFrom(Position end) {
  std::size_t dropped = 0;
  for (std::deque<Record>& queue : queues_) {
    for (; !queue.empty() && queue.back().position >= end; queue.pop_back()) ++dropped;
  }
  return dropped;
}

bool PartitionQueues::HasEnough(std::uint32_t batch_size) const {
  if (partitions_ == 0) return false;
  const std::size_t enough = std::max<std::size_t>(batch_size, kReadAhead / partitions_);
  for (std::size_t slot = 0; slot < queues_.size(); ++slot) {
    if (met_[slot] && queues_[slot].size() < enough) return false;
  }
  return true;
}

}  // namespace backfill::worker
