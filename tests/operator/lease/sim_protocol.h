#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "operator/lease/lease_book.h"
#include "operator/ledger/failure_log.h"

// The messages of backfill.v1.Coordinator as the simulation needs them, and streams that delay,
// break and outlive their reader.
namespace backfill::lease::sim {

using namespace std::chrono_literals;

// ---- worker to leader
struct Hello {
  std::string worker;
  std::string instance;
  std::vector<LeaseReport> held;
};
struct Progress {
  std::vector<LeaseReport> reports;
  int wanted = 0;
};
struct ShardDone {
  LeaseReport report;
};
struct Failures {
  LeaseName lease;
  std::vector<Position> positions;
};
struct Draining {
  std::vector<LeaseReport> reports;
};
struct WorkerMessage {
  std::uint64_t sequence = 0;
  std::variant<Hello, Progress, ShardDone, Failures, Draining> body;
};

// ---- leader to worker
struct Welcome {
  Epoch epoch;
  std::vector<LeaseName> kept;
};
struct Grant {
  ledger::Shard shard;
};
struct Ack {
  std::vector<LeaseName> held;
  std::vector<LeaseName> done;
};
struct Revoke {
  LeaseName lease;
};
struct Shrink {
  LeaseName lease;
  Position end = 0;
};
struct NoMoreWork {};
struct LeaderMessage {
  std::uint64_t answers = 0;
  std::variant<Welcome, Grant, Ack, Revoke, Shrink, NoMoreWork> body;
};

// In order, each message not before its time. What is on its way when one side ends the stream may
// still arrive.
template <typename Message>
class Pipe {
 public:
  void Send(Message message, Time arrives) {
    if (!queue_.empty()) arrives = std::max(arrives, queue_.back().first);
    queue_.emplace_back(arrives, std::move(message));
  }
  [[nodiscard]] bool HasArrived(Time now) const {
    return !queue_.empty() && queue_.front().first <= now;
  }
  Message Receive() {
    Message m = std::move(queue_.front().second);
    queue_.pop_front();
    return m;
  }
  void Lose() { queue_.clear(); }

 private:
  std::deque<std::pair<Time, Message>> queue_;
};

struct Stream {
  std::size_t worker = 0;
  std::size_t leader = 0;
  bool open_at_worker = true;
  bool open_at_leader = true;
  Pipe<WorkerMessage> up;
  Pipe<LeaderMessage> down;
};

}  // namespace backfill::lease::sim
