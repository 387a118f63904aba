// What of Engine concerns partitions of the target. A hot one has a low cap, and its records wait
// by themselves: in the queues of their lease before they are sent for the first time, in a lane of
// their own afterwards.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "worker/engine/engine.h"

namespace backfill::worker {
namespace {

// Beyond those that a worker holds anyway, while these can send nothing.
constexpr std::uint32_t kMoreLeases = 6;
// Tokens that are just missing are no reason to take another lease.
constexpr Duration kHeldUp = 1s;

}  // namespace

void Engine::PartitionBy(PartitionOf of) {
  partitions_ = std::make_unique<Partitions>(std::move(of));
}

void Engine::SetPartitionCaps(const PartitionCaps& caps, Time now) {
  if (partitions_ != nullptr) partitions_->SetCaps(caps, batch_size_, now);
}

std::optional<Dispatch> Engine::NextByPartition(Time now) {
  SortIntoLanes(now);
  const std::optional<std::size_t> lane = NextLane(now);
  return lane ? StartFromLane(*lane, now) : NextFirstByPartition(now);
}

// Of partitions that wait, none may hold up the others: where all are in one line, the first does.
void Engine::SortIntoLanes(Time now) {
  lanes_.resize(partitions_->slots());
  // Their order among themselves stays; they come before what is due by now.
  for (; !at_once_.empty(); at_once_.pop_back()) {
    Work& work = at_once_.back();
    lanes_[work.partition].push_front(std::move(work));
  }
  while (!retries_.empty() && retries_.front().due <= now) {
    std::pop_heap(retries_.begin(), retries_.end());
    Work& work = retries_.back().work;
    lanes_[work.partition].push_back(std::move(work));
    retries_.pop_back();
  }
  if (!retries_.empty()) wake_ = std::min(wake_, retries_.front().due);
}

bool Engine::PartitionLets(PartitionSlot slot, std::uint32_t records, Time now) {
  const Time ready = partitions_->ReadyAt(slot, records, now);
  if (ready <= now) return true;
  partitions_->OnHeldBack(slot);
  wake_ = std::min(wake_, ready);
  return false;
}

// The lane whose first may go, as far as its partition is concerned.
std::optional<std::size_t> Engine::NextLane(Time now) {
  lane_waits_.assign(lanes_.size(), false);
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const std::size_t lane = (next_lane_ + i) % lanes_.size();
    if (lanes_[lane].empty()) continue;
    const Work& work = lanes_[lane].front();
    const LeaseRun* run = FindRun(work.run);
    if (run == nullptr) std::abort();  // DropLease() removes its work
    if (!clock_.MaySend(run->key(), now)) continue;
    const auto size = static_cast<std::uint32_t>(work.records.size());
    if (work.retry && !budget_.Allows(size, now)) {
      wake_ = std::min(wake_, now + 100ms);
      continue;
    }
    lane_waits_[lane] = true;
    if (PartitionLets(work.partition, size, now)) return lane;
  }
  return std::nullopt;
}

std::optional<Dispatch> Engine::StartFromLane(std::size_t lane, Time now) {
  std::deque<Work>& works = lanes_[lane];
  const auto size = static_cast<std::uint32_t>(works.front().records.size());
  if (!TakeTokens(size, now)) return std::nullopt;
  Work work = std::move(works.front());
  works.pop_front();
  next_lane_ = lane + 1;
  partitions_->OnSent(work.partition, size, now);
  LeaseRun& run = *FindRun(work.run);
  return Start(std::move(work), run, now);
}

std::optional<Dispatch> Engine::NextFirstByPartition(Time now) {
  for (const auto& run : runs_) {
    if (!clock_.MaySend(run->key(), now)) continue;
    // Of those that may go, the one that keeps the window from moving.
    std::optional<PartitionSlot> first;
    std::uint32_t records = 0;
    for (std::size_t i = 0; i < run->queues().slots(); ++i) {
      const auto slot = static_cast<PartitionSlot>(i);
      const std::uint32_t size = run->NextBatchOf(slot, batch_size_);
      if (size == 0 || (slot < lane_waits_.size() && lane_waits_[slot])) continue;
      if (!PartitionLets(slot, size, now)) continue;
      if (first && run->queues().First(*first) < run->queues().First(slot)) continue;
      first = slot;
      records = size;
    }
    if (!first) {
      NoteHeldUp(*run, now);
      continue;
    }
    if (IsNoted(*run, records)) return StartFirstOf(*run, *first, records, now);
    wake_ = std::min(wake_, now + 1s);
  }
  return std::nullopt;
}

// Held up is what has only records of partitions that are full, while the grant and other
// partitions leave room. That now and then one of them may go changes nothing.
void Engine::NoteHeldUp(LeaseRun& run, Time now) {
  const bool held_up = run.has_ready() && !run.Wants(batch_size_) &&
                       bucket_.ReadyAt(batch_size_, now) <= now &&
                       partitions_->HasRoomBeside(run.queues(), batch_size_, now);
  if (!held_up) {
    run.held_up_since.reset();
  } else if (!run.held_up_since) {
    run.held_up_since = now;
  }
  const bool before = std::exchange(run.held_up, held_up && now - *run.held_up_since >= kHeldUp);
  if (run.held_up && !before) ++news_;
}

std::optional<Dispatch> Engine::StartFirstOf(LeaseRun& run, PartitionSlot slot,
                                             std::uint32_t records, Time now) {
  if (!TakeTokens(records, now)) {
    run.held_up_since.reset();
    run.held_up = false;
    return std::nullopt;
  }
  partitions_->OnSent(slot, records, now);
  Work work{.run = run.serial(), .partition = slot};
  run.TakeBatchOf(slot, records, work.records);
  return Start(std::move(work), run, now);
}

std::uint32_t Engine::HeldUpRuns() const {
  const auto held_up = std::count_if(
      runs_.begin(), runs_.end(), [](const auto& run) { return !run->complete() && run->held_up; });
  return std::min(static_cast<std::uint32_t>(held_up), kMoreLeases);
}

std::vector<std::uint64_t> Engine::WaitingByPartition() const {
  std::vector<std::uint64_t> waiting(partitions_->slots());
  for (const auto& run : runs_) {
    for (std::size_t i = 0; i < run->queues().slots(); ++i)
      waiting[i] += run->queues().size(static_cast<PartitionSlot>(i));
  }
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    for (const Work& work : lanes_[i]) waiting[i] += work.records.size();
  }
  return waiting;
}

std::vector<PartitionReport> Engine::ReportPartitions() {
  if (partitions_ == nullptr) return {};
  return partitions_->Report(WaitingByPartition());
}

// What the caps of the partitions give that its records belong to: a share of the rate that cannot
// be used is missing elsewhere.
double Engine::WantedByPartitions() const {
  const std::vector<std::uint64_t> waiting = WaitingByPartition();
  double wanted = 0;
  bool others = false;
  bool any = false;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i] == 0) continue;
    any = true;
    const auto slot = static_cast<PartitionSlot>(i);
    if (partitions_->HasOwnCap(slot)) {
      wanted += partitions_->Cap(slot);
    } else {
      others = true;
    }
  }
  if (!any) return std::numeric_limits<double>::max();  // not read yet
  return 1.2 * (wanted + (others ? partitions_->Cap(0) : 0));
}

}  // namespace backfill::worker
