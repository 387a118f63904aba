#include "worker/engine/partitions.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "base/utf8.h"
#include "worker/engine/partition_queues.h"

namespace backfill::worker {

PartitionSlot Partitions::SlotOf(const Record& record) {
  std::string name = of_(record);
  const auto known = by_name_.find(name);
  if (known != by_name_.end()) return known->second;
  const bool is_label =
      !name.empty() && name.size() <= kMaxName && ValidUtf8Prefix(name) == name.size();
  if (!is_label || by_name_.size() >= kMax) return 0;
  const auto slot = static_cast<PartitionSlot>(slots_.size());
  Slot& added = slots_.emplace_back(Slot{.name = name});
  if (const auto cap = caps_.named.find(name); cap != caps_.named.end()) {
    added.capped = true;
    Fill(added, cap->second, caps_at_);
  }
  by_name_.emplace(std::move(name), slot);
  return slot;
}

void Partitions::Fill(Slot& slot, double records_per_second, Time now) {
  slot.tokens.SetGrant({.records_per_second = records_per_second,
                        .burst = std::max<double>(records_per_second, batch_),
                        .expires = caps_.expires},
                       now);
}

void Partitions::SetCaps(const PartitionCaps& caps, std::uint32_t batch, Time now) {
  caps_ = caps;
  caps_at_ = now;
  batch_ = batch;
  while (caps_.named.size() > kMax) caps_.named.erase(std::prev(caps_.named.end()));
  Fill(slots_.front(), caps_.others, now);
  for (const auto& [name, slot] : by_name_) {
    const auto cap = caps_.named.find(name);
    slots_[slot].capped = cap != caps_.named.end();
    Fill(slots_[slot], slots_[slot].capped ? cap->second : 0, now);
  }
}

Time Partitions::ReadyAt(PartitionSlot slot, std::uint32_t records, Time now) const {
  return BucketOf(slot).ReadyAt(records, now);
}

bool Partitions::HasRoomBeside(const PartitionQueues& queues, std::uint32_t records,
                               Time now) const {
  if (now >= caps_.expires) return false;
  return std::ranges::any_of(caps_.named, [&](const auto& cap) {
    const auto met = by_name_.find(cap.first);
    if (met == by_name_.end()) return cap.second > 0;
    return queues.size(met->second) == 0 && ReadyAt(met->second, records, now) <= now;
  });
}

void Partitions::OnSent(PartitionSlot slot, std::uint32_t records, Time now) {
  TokenBucket& tokens = slots_[slot].capped ? slots_[slot].tokens : slots_.front().tokens;
  if (!tokens.Take(records, now)) std::abort();  // ReadyAt() has said so
  slots_[slot].attempts += records;
}

std::vector<PartitionReport> Partitions::Report(const std::vector<std::uint64_t>& waiting) {
  std::vector<PartitionReport> reports;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const std::uint64_t waits = i < waiting.size() ? waiting[i] : 0;
    const bool limited = std::exchange(slot.limited, false);
    if (slot.attempts == 0 && waits == 0) continue;
    reports.push_back({.name = slot.name,
                       .attempts = slot.attempts,
                       .waiting = waits,
                       .limited = limited && waits > 0});
  }
  return reports;
}

}  // namespace backfill::worker
