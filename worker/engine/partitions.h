#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "worker/engine/record.h"
#include "worker/engine/token_bucket.h"

namespace backfill::worker {

class PartitionQueues;

// Which part of the target a record goes to, in the words of the budgets' label. Pure.
using PartitionOf = std::function<std::string(const Record&)>;
// Stands for a partition within one process. 0 stands for all that have none of their own.
using PartitionSlot = std::uint16_t;

// What this worker may send to each partition, given for a limited time.
struct PartitionCaps {
  std::map<std::string, double> named = {};  // records/s
  double others = 0;                         // of all that are not named, together
  Time expires{};
};

// What one worker says of a partition. No name: all that have no slot of their own.
struct PartitionReport {
  std::string name = {};
  std::uint64_t attempts = 0;  // records sent since the process began, retries included
  std::uint64_t waiting = 0;   // records that were read and are not sent
  bool limited = false;        // its cap has kept some of them back since the last report
  bool operator==(const PartitionReport&) const = default;
};

// The partitions that this process has met, each with the tokens of its cap. Bounded: the first
// kMax names get a slot; all further ones, and names that cannot be those of a label (empty, longer
// than kMaxName bytes, not UTF-8), share slot 0. What is not capped by name shares one cap, too, so
// that a partition that nobody watches is never free. Starts without caps: nothing is given. Not
// thread-safe; the time is an argument.
class Partitions {
 public:
  static constexpr std::size_t kMax = 64;
  static constexpr std::size_t kMaxName = 64;  // bytes

  explicit Partitions(PartitionOf of) : of_(std::move(of)), slots_(1) {}

  PartitionSlot SlotOf(const Record& record);
  [[nodiscard]] std::size_t slots() const { return slots_.size(); }

  // In place of the last ones. Of more than kMax names the first count. `batch`: a cap lets a
  // request of so many records through at a time, however low it is.
  void SetCaps(const PartitionCaps& caps, std::uint32_t batch, Time now);

  // When so many records may go there as far as its cap is concerned; Time::max(): not under these
  // caps.
  [[nodiscard]] Time ReadyAt(PartitionSlot slot, std::uint32_t records, Time now) const;
  // Whether there is a partition that so many records may go to now, and none of these does.
  [[nodiscard]] bool HasRoomBeside(const PartitionQueues& queues, std::uint32_t records,
                                   Time now) const;
  // Its cap keeps records back that could go otherwise.
  void OnHeldBack(PartitionSlot slot) { slots_[slot].limited = true; }
  // Once ReadyAt() has come.
  void OnSent(PartitionSlot slot, std::uint32_t records, Time now);

  [[nodiscard]] bool HasOwnCap(PartitionSlot slot) const { return slots_[slot].capped; }
  [[nodiscard]] double Cap(PartitionSlot slot) const {
    return BucketOf(slot).grant().records_per_second;
  }

  // One for each that was sent to or waits, with what waits by slot.
  std::vector<PartitionReport> Report(const std::vector<std::uint64_t>& waiting);

 private:
  struct Slot {
    std::string name = {};
    bool capped = false;  // by name; else it shares the tokens of slot 0
    TokenBucket tokens = {};
    std::uint64_t attempts = 0;
    bool limited = false;
  };

  [[nodiscard]] const TokenBucket& BucketOf(PartitionSlot slot) const {
    return slots_[slot].capped ? slots_[slot].tokens : slots_.front().tokens;
  }
  void Fill(Slot& slot, double records_per_second, Time now);

  PartitionOf of_;
  std::vector<Slot> slots_;
  std::map<std::string, PartitionSlot> by_name_;
  PartitionCaps caps_;
  Time caps_at_{};
  std::uint32_t batch_ = 1;
};

}  // namespace backfill::worker
