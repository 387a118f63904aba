#include "worker/engine/lease_run.h"

#include <algorithm>
#include <utility>

namespace backfill::worker {

void LeaseRun::WaitByPartition(Partitions& partitions) {
  partitions_ = &partitions;
  queues_ = std::make_unique<PartitionQueues>();
}

std::optional<LeaseRun::Reading> LeaseRun::Wants(std::uint32_t batch_size) const {
  constexpr std::uint64_t kBlock = 256;
  const std::uint64_t enough = std::max<std::uint64_t>(batch_size, kBlock);
  if (ready_count_ >= enough && (queues_ == nullptr || queues_->HasEnough(batch_size)))
    return std::nullopt;
  if (!window_.InReach(next_read_)) return std::nullopt;
  const auto distance = [](Position from, Position to) {
    return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
  };
  const std::uint64_t reach = Window::kAhead - distance(window_.cursor(), next_read_);
  return Reading{next_read_, std::min({enough, reach, distance(next_read_, window_.end())})};
}

std::vector<Record> LeaseRun::OnRecords(std::vector<Record> records) {
  std::vector<Record> bad;
  std::size_t kept = 0;
  for (Record& r : records) {
    if (r.position != next_read_ || !window_.InReach(r.position)) break;  // shrunk meanwhile
    ++next_read_;
    if (window_.IsDone(r.position)) continue;
    if (r.problem.empty()) {
      if (&records[kept] != &r) records[kept] = std::move(r);
      ++kept;
    } else {
      window_.Mark(r.position, Outcome::kFailed);
      bad.push_back(std::move(r));
    }
  }
  records.resize(kept);
  ready_count_ += kept;
  if (queues_ != nullptr) {
    for (Record& r : records) {
      const PartitionSlot slot = partitions_->SlotOf(r);
      queues_->Add(slot, std::move(r));
    }
    return bad;
  }
  if (kept > 0) ready_.push_back(std::move(records));
  return bad;
}

std::uint32_t LeaseRun::NextBatch(std::uint32_t batch_size) const {
  if (ready_count_ == 0) return 0;
  if (ready_count_ >= batch_size) return batch_size;
  // Less than a full batch goes only if more cannot come before something else has ended.
  const bool all_read = next_read_ >= window_.end();
  const bool stuck = outstanding_ == 0 && !window_.InReach(next_read_);
  return all_read || stuck ? static_cast<std::uint32_t>(ready_count_) : 0;
}

void LeaseRun::TakeBatch(std::uint32_t records, std::vector<Record>& batch) {
  batch.resize(records);
  for (Record& record : batch) {
    std::vector<Record>& front = ready_.front();
    record = std::move(front[first_++]);
    if (first_ < front.size()) continue;
    ready_.pop_front();
    first_ = 0;
  }
  ready_count_ -= records;
  sent_end_ = std::max(sent_end_, batch.back().position + 1);
  outstanding_ += records;
}

std::uint32_t LeaseRun::NextBatchOf(PartitionSlot slot, std::uint32_t batch_size) const {
  const std::size_t waiting = queues_->size(slot);
  if (waiting == 0) return 0;
  if (waiting >= batch_size) return batch_size;
  const bool all_read = next_read_ >= window_.end();
  // The window moves once its first record has ended, and that may be one of these.
  const bool stuck = !window_.InReach(next_read_) &&
                     (outstanding_ == 0 || queues_->First(slot) == window_.cursor());
  return all_read || stuck ? static_cast<std::uint32_t>(waiting) : 0;
}

void LeaseRun::TakeBatchOf(PartitionSlot slot, std::uint32_t records, std::vector<Record>& batch) {
  queues_->Take(slot, records, batch);
  ready_count_ -= records;
  sent_end_ = std::max(sent_end_, batch.back().position + 1);
  outstanding_ += records;
}

void LeaseRun::Settle(Position p, Outcome outcome) {
  window_.Mark(p, outcome);
  --outstanding_;
}

void LeaseRun::Shrink(Position end) {
  const Position now_end = window_.Shrink(end, sent_end_);
  if (queues_ != nullptr) ready_count_ -= queues_->DropFrom(now_end);
  while (queues_ == nullptr && ready_count_ > 0 && ready_.back().back().position >= now_end) {
    --ready_count_;
    ready_.back().pop_back();
    const std::size_t taken = ready_.size() == 1 ? first_ : 0;
    if (ready_.back().size() == taken) {
      ready_.pop_back();
      if (ready_.empty()) first_ = 0;
    }
  }
  next_read_ = std::min(next_read_, now_end);
}

}  // namespace backfill::worker
