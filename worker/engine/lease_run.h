#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/range.h"
#include "worker/engine/partition_queues.h"
#include "worker/engine/partitions.h"
#include "worker/engine/record.h"
#include "worker/engine/window.h"

namespace backfill::worker {

// The work on one lease: which of its records are read, sent, and have an outcome. Not thread-safe.
class LeaseRun {
 public:
  // `serial` tells this run from an earlier one of the same lease, whose requests may still be in
  // flight.
  LeaseRun(std::uint64_t serial, const LeaseKey& key, Window window)
      : serial_(serial),
        key_(key),
        window_(window),
        next_read_(window_.cursor()),
        sent_end_(window_.cursor()) {}

  // Before the first record: they wait by partition. `partitions` must outlive this.
  void WaitByPartition(Partitions& partitions);

  // Where to read on and how many records at most; nullopt: enough is read for now.
  struct Reading {
    Position from = 0;
    std::uint64_t max = 0;
  };
  [[nodiscard]] std::optional<Reading> Wants(std::uint32_t batch_size) const;
  // The records from `Wants()->from` on, in order, none left out. Returns those that cannot be
  // sent, which have an outcome now.
  std::vector<Record> OnRecords(std::vector<Record> records);

  // How many records the next batch of first attempts has; 0: none can go now.
  [[nodiscard]] std::uint32_t NextBatch(std::uint32_t batch_size) const;
  // Moves that many out of the queue into `batch`; they count as outstanding from here on.
  void TakeBatch(std::uint32_t records, std::vector<Record>& batch);

  // The same of one partition, for a run that waits by partition.
  [[nodiscard]] std::uint32_t NextBatchOf(PartitionSlot slot, std::uint32_t batch_size) const;
  void TakeBatchOf(PartitionSlot slot, std::uint32_t records, std::vector<Record>& batch);
  [[nodiscard]] const PartitionQueues& queues() const { return *queues_; }

  // A record ended.
  void Settle(Position p, Outcome outcome);

  void Shrink(Position end);

  std::uint32_t in_flight = 0;  // records sent and not answered; kept by the engine
  std::uint64_t noted = 0;      // for so many sent_or_done() there is a note; kept by the engine
  // None of its records can go because of their partitions, and since when; kept by the engine.
  bool held_up = false;
  std::optional<Time> held_up_since = std::nullopt;

  [[nodiscard]] std::uint64_t serial() const { return serial_; }
  [[nodiscard]] const LeaseKey& key() const { return key_; }
  [[nodiscard]] const Window& window() const { return window_; }
  // Records that were sent at least once or have an outcome.
  [[nodiscard]] std::uint64_t sent_or_done() const {
    return window_.counts().total() + outstanding_;
  }
  [[nodiscard]] bool complete() const { return window_.complete(); }
  [[nodiscard]] bool has_ready() const { return ready_count_ > 0; }

 private:
  std::uint64_t serial_;
  LeaseKey key_;
  Window window_;
  // Read, not sent, without an outcome; at most Window::kAhead. As they came from the source, so
  // that a record is moved once, when it is sent.
  std::deque<std::vector<Record>> ready_;  // none is empty
  std::size_t first_ = 0;                  // in the front one: those before it were taken
  std::size_t ready_count_ = 0;            // or in queues_
  Partitions* partitions_ = nullptr;
  std::unique_ptr<PartitionQueues> queues_;  // in place of ready_
  Position next_read_;
  Position sent_end_;              // no record from here on was ever sent
  std::uint64_t outstanding_ = 0;  // sent at least once, without an outcome
};

}  // namespace backfill::worker
