#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/range.h"
#include "base/result.h"
#include "worker/engine/failure_buffer.h"
#include "worker/engine/inner_loop.h"
#include "worker/engine/lease_clock.h"
#include "worker/engine/lease_run.h"
#include "worker/engine/partitions.h"
#include "worker/engine/record.h"
#include "worker/engine/retry.h"
#include "worker/engine/token_bucket.h"

namespace backfill::worker {

struct EngineOptions {
  std::uint32_t batch_size = 1;  // records per request; more than Window::kAhead count as that
  std::uint32_t max_leases = 2;  // that are not complete
  Duration fence = 50s;
  std::uint64_t seed = 1;  // of the jitter
};

// Can change at any time.
struct EngineLimits {
  std::uint32_t concurrency = 16;  // requests in flight
  std::uint32_t attempts = 5;      // per record, the first included
  std::uint32_t retry_budget_percent = 10;
  double latency_headroom = InnerLoop::kHeadroom;  // 0: latency is not looked at
};

struct LeaseOffer {
  LeaseKey key;
  Range range;
  Position cursor = 0;
  std::string done_above = {};
  OutcomeCounts counts = {};
};

// Where a lease stands, since its shard began.
struct LeaseState {
  LeaseKey key;
  Position end = 0;
  Position cursor = 0;
  std::string done_above = {};
  OutcomeCounts counts = {};
  std::uint32_t in_flight = 0;
  bool complete = false;
  bool operator==(const LeaseState&) const = default;
};

struct EngineStats {           // since the process began
  std::uint64_t attempts = 0;  // records sent, retries included
  std::uint64_t retries = 0;
  std::array<std::uint64_t, 16> latency{};  // bucket i: below 0.5 ms x 2^i
  double latency_seconds = 0;               // smoothed
};

// A request to send now.
struct Dispatch {
  std::uint32_t slot = 0;  // names it in OnResult(); unique among those in flight
  ShardId shard;
  const std::vector<Record>* records = nullptr;  // valid until OnResult(slot)
};

// Takes note of how much was sent, where it outlives this process.
class SentNotes {
 public:
  virtual ~SentNotes() = default;
  // From now on at most so many records of the lease's shard are sent or have an outcome. False: it
  // could not be noted, and nothing beyond the last note may be sent.
  virtual bool Raise(const LeaseKey& key, std::uint64_t records) = 0;
  virtual void Forget(const LeaseKey& key) = 0;
};

// Decides what a worker sends, and what becomes of it: leases and their fences, pacing,
// concurrency, retries, splitting of batches that fail, outcomes and progress. Does no I/O; every
// event is a call with the time it happened at.
//
// Every record of a lease ends with exactly one outcome, in the window it belongs to, unless the
// lease is lost first. Nothing is started for a lease whose fence has passed. Memory is bounded: by
// Window::kAhead records per lease and by FailureBuffer::kMax. Not thread-safe: one thread makes
// all calls.
class Engine {
 public:
  Engine(const EngineOptions& options, const EngineLimits& limits);

  // ---- what the coordinator says
  // A lease in answer to that message. One that is held already is extended. kInvalid: it
  // contradicts itself; kExpired: its fence has passed; kAborted: more than were asked for.
  Status AddLease(const LeaseOffer& offer, std::uint64_t answers, Time now);
  // Before the first lease. `notes` must outlive this.
  void NoteWhatIsSent(SentNotes& notes) { notes_ = &notes; }
  // The end of the lease is durable.
  void OnDurable(const LeaseKey& key) {
    if (notes_ != nullptr) notes_->Forget(key);
  }
  // Forgets the lease: lost, revoked, or its end is acknowledged. Answers to its requests are
  // ignored from now on.
  void DropLease(const LeaseKey& key);
  void ShrinkLease(const LeaseKey& key, Position end);
  void SetGrant(const RateGrant& grant, Time now) { bucket_.SetGrant(grant, now); }
  // Before the first lease: every record belongs to a partition of the target, and is sent when
  // its cap allows that, too. Until there are caps nothing is sent.
  void PartitionBy(PartitionOf of);
  void SetPartitionCaps(const PartitionCaps& caps, Time now);
  // Of the target's budgets, as far as the coordinator knows it.
  void SetTargetPressure(double pressure) { inner_.OnTargetPressure(pressure); }
  void SetLimits(const EngineLimits& limits);
  void SetPaused(bool paused) { paused_ = paused; }
  // The batch size must not change while leases are held.
  void Configure(std::uint32_t batch_size, std::uint32_t max_leases, Duration fence);
  // From now on nothing is started; what is in flight may end.
  void Drain() { draining_ = true; }

  // ---- the source
  struct Reading {
    std::uint64_t run = 0;  // for OnRecords()
    Position from = 0;
    std::uint64_t max = 0;
  };
  [[nodiscard]] std::optional<Reading> WantsRecords() const;
  // kInvalid: the block does not begin with the record that was asked for; asked again, the source
  // would say the same.
  Status OnRecords(std::uint64_t run, std::vector<Record> records);

  // ---- the target
  std::optional<Dispatch> Next(Time now);
  void OnResult(std::uint32_t slot, BatchResult result, Time now);
  // After Next() returned nothing: when to ask again at the latest. An event may come first.
  [[nodiscard]] Time wake_at() const { return wake_; }

  // ---- reports
  // Drops leases whose fence has passed; returns them.
  std::vector<LeaseKey> Expire(Time now);
  [[nodiscard]] std::vector<LeaseState> Leases() const;
  [[nodiscard]] bool Holds(const LeaseKey& key) const;
  [[nodiscard]] std::uint32_t LeasesWanted() const;
  // A lease that is not complete.
  [[nodiscard]] bool HasWork() const;
  // What it could send without a limit; 0: it has no record left.
  [[nodiscard]] double RecordsPerSecondWanted() const;
  // How long the target still wants to be left alone.
  [[nodiscard]] Duration AskedToHold(Time now) const { return hold_.AskedFor(now); }
  // Why the target cannot be reached by this worker, which has something to send; empty: it can.
  [[nodiscard]] std::string_view TargetTrouble(Time now) const {
    return HasWork() ? hold_.Trouble(now) : std::string_view();
  }
  // What it holds back of its grant, and why.
  [[nodiscard]] const InnerLoop& inner_loop() const { return inner_; }
  // Of every partition that was met, what became of it; none without PartitionBy().
  std::vector<PartitionReport> ReportPartitions();
  // Grows with whatever the coordinator should not wait a whole period for: a lease is complete,
  // there is something to send again, the target asks to be left alone.
  [[nodiscard]] std::uint64_t news() const { return news_; }
  [[nodiscard]] const EngineStats& stats() const { return stats_; }
  [[nodiscard]] const TokenBucket& bucket() const { return bucket_; }
  // As many requests are in flight as may be: nothing can start before one of them ends.
  [[nodiscard]] bool busy() const { return in_flight_ >= limits_.concurrency; }
  // Paused or draining: what has not left yet should not leave.
  [[nodiscard]] bool stopped() const { return paused_ || draining_; }
  FailureBuffer& failures() { return failures_; }
  LeaseClock& clock() { return clock_; }

 private:
  // Records that share one history: they were sent together every time.
  struct Work {
    std::uint64_t run = 0;
    std::uint32_t attempts = 0;  // how often they were sent
    std::uint32_t failures = 0;  // how often that counted against the limit of attempts
    bool retry = false;          // it takes a share of the retry budget
    PartitionSlot partition = 0;
    std::vector<Record> records = {};
  };
  struct Waiting {
    Time due;
    Work work;
    bool operator<(const Waiting& other) const {
      return due > other.due;
    }  // a heap with the earliest on top
  };

  LeaseRun* FindRun(std::uint64_t serial);
  LeaseRun* FindRun(const LeaseKey& key);
  std::optional<Dispatch> Start(Work work, LeaseRun& run, Time now);
  std::optional<Dispatch> NextRetry(Time now);
  std::optional<Dispatch> NextFirst(Time now);
  // In place of the two, and of at_once_, where records are capped by partition.
  std::optional<Dispatch> NextByPartition(Time now);
  std::optional<std::size_t> NextLane(Time now);
  std::optional<Dispatch> StartFromLane(std::size_t lane, Time now);
  std::optional<Dispatch> NextFirstByPartition(Time now);
  std::optional<Dispatch> StartFirstOf(LeaseRun& run, PartitionSlot slot, std::uint32_t records,
                                       Time now);
  void NoteHeldUp(LeaseRun& run, Time now);
  void SortIntoLanes(Time now);
  bool PartitionLets(PartitionSlot slot, std::uint32_t records, Time now);
  [[nodiscard]] std::vector<std::uint64_t> WaitingByPartition() const;
  [[nodiscard]] std::uint32_t HeldUpRuns() const;
  [[nodiscard]] double WantedByPartitions() const;
  // Lets the inner loop have its say.
  void Pace(Time now);
  bool TakeTokens(std::size_t records, Time now);
  bool IsNoted(LeaseRun& run, std::uint32_t records);

  void Settle(LeaseRun& run, const Work& work, const Record& record, const Verdict& verdict,
              Delivery delivery);
  void SettleWhole(LeaseRun& run, Work work, const BatchResult& result, Time now);
  void SettleEach(LeaseRun& run, Work work, const BatchResult& result, Time now);
  void Retry(Work work, Time now);
  void Split(Work work);
  void CountLatency(Duration latency);

  std::uint32_t batch_size_ = 1;
  std::uint32_t max_leases_ = 1;
  SentNotes* notes_ = nullptr;
  EngineLimits limits_;
  LeaseClock clock_;
  TokenBucket bucket_;
  InnerLoop inner_;
  RetryBudget budget_;
  HoldBack hold_;
  Backoff backoff_;
  FailureBuffer failures_;
  EngineStats stats_;

  std::vector<std::unique_ptr<LeaseRun>>
      runs_;  // in the order in which they came: the first is finished first
  std::uint64_t next_serial_ = 1;
  std::deque<Work> at_once_;      // parts of split batches, and what never left
  std::vector<Waiting> retries_;  // a heap

  // Of partitions, if there are any: what at_once_ and retries_ have that is due, by partition.
  std::unique_ptr<Partitions> partitions_;
  std::vector<std::deque<Work>> lanes_;
  // Of this round, by slot: what waits in its lane comes before first attempts.
  std::vector<bool> lane_waits_;
  std::size_t next_lane_ = 0;

  std::deque<Work> slots_;  // in flight; a deque: what Dispatch points to stays put
  std::vector<std::uint32_t> free_slots_;
  std::uint32_t in_flight_ = 0;

  std::uint64_t news_ = 0;
  bool paused_ = false;
  bool draining_ = false;
  Time wake_ = Time::max();
};

}  // namespace backfill::worker
