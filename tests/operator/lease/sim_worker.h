#pragma once

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "sim_protocol.h"

namespace backfill::lease::sim {

// Rules of the protocol that a worker can be made to break: then the checks of the simulation have
// to notice.
struct WorkerFaults {
  bool counts_from_receipt =
      false;  // its leases last from the receipt of an answer, not from the sending of the question
  bool ignores_its_own_end = false;  // goes on behind the end that it has reported after a Shrink
};

struct WorkerOptions {
  Duration fence = 50s;
  Duration wire_time = 10s;
  int max_leases = 2;
  WorkerFaults faults{};
};

// A request that may still reach the target.
struct Request {
  std::string instance;
  ShardId shard;
  Attempt attempt;
  Position position = 0;
  Time ends{};
};

// What the target has seen.
struct Target {
  static bool Fails(Position p) { return p % 11 == 3; }
  std::vector<Request> on_the_wire;
  std::map<Position, std::set<std::pair<ShardId, Attempt>>> senders;
  std::set<Position> answered;
};

// One worker process, as the comments of coordinator.proto say it must behave.
class Worker {
 public:
  struct Held {
    Attempt attempt;
    Range range;
    Position end_used = 0;  // where it stops; range.end unless it ignores that
    Position cursor = 0;
    std::set<Position> above;  // with an outcome, from cursor on
    ledger::OutcomeCounts counts;
    std::map<Position, Time> in_flight;  // until when an answer may come
    std::set<Position> failures;         // kept until the lease ends: a new leader gets them again
    std::set<Position> failures_sent;    // on this stream
    Time fence{};
    std::uint64_t first_reported = 0;
    bool complete() const { return cursor >= range.end; }
  };

  Worker(const WorkerOptions& options, std::string slot, std::string instance, Target& target)
      : options_(options),
        slot_(std::move(slot)),
        instance_(std::move(instance)),
        target_(target) {}

  const std::string& slot() const { return slot_; }
  const std::string& instance() const { return instance_; }
  const std::map<ShardId, Held>& leases() const { return leases_; }
  // What it has sent at most, as it notes it where its end cannot take it.
  const SentBounds& sent() const { return sent_; }
  bool told_to_exit() const { return told_to_exit_; }
  bool drained() const { return drained_; }
  bool draining() const { return draining_; }
  bool MaySend(const Held& lease, Time now) const { return now < lease.fence && !draining_; }

  // Each returns what goes onto the stream.
  WorkerMessage Connect(Time now);
  std::vector<WorkerMessage> Report(std::mt19937& random, Time now);
  void Receive(const LeaderMessage& message, Time now);

  void SendSomeRecord(std::mt19937& random, Time now);
  void TakeSomeAnswer(std::mt19937& random, Time now);
  void Drain() { draining_ = true; }

 private:
  WorkerMessage Number(decltype(WorkerMessage::body) body, Time now);
  LeaseReport ReportOf(ShardId shard, const Held& lease) const;
  void DropExpired(Time now);
  void Extend(Held& lease, std::uint64_t answers, Time now);
  void Mark(Held& lease, Position p);
  void On(const Welcome& welcome, std::uint64_t answers, Time now);
  void On(const Grant& grant, std::uint64_t answers, Time now);
  void On(const Ack& ack, std::uint64_t answers, Time now);
  void On(const Revoke& revoke, std::uint64_t answers, Time now);
  void On(const Shrink& shrink, std::uint64_t answers, Time now);
  void On(const NoMoreWork&, std::uint64_t, Time) { told_to_exit_ = true; }

  const WorkerOptions options_;
  const std::string slot_;
  const std::string instance_;
  Target& target_;
  std::map<ShardId, Held> leases_;
  SentBounds sent_;
  std::uint64_t last_sent_ = 0;
  std::map<std::uint64_t, Time> sent_at_;  // on this stream
  bool welcomed_ = false;
  Epoch epoch_;
  bool draining_ = false;
  bool drained_ = false;
  bool told_to_exit_ = false;
};

}  // namespace backfill::lease::sim
