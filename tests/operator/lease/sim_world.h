#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "sim_leader.h"
#include "sim_worker.h"

namespace backfill::lease::sim {

struct WorldOptions {
  int shards = 5;
  int records_per_shard = 40;
  int workers = 3;
  // How often, per ten thousand steps.
  int breaks = 60;          // of a stream; what is on its way is lost, or arrives later
  int sleeps = 20;          // of a worker, for up to four lease times
  int leader_sleeps = 60;   // for up to two
  int crashes = 15;         // of a worker or a leader
  int drains = 5;           // of a worker
  int fleet_deaths = 1500;  // of all workers before a takeover, which their end is proven to
  int takeovers = 500;      // attempts to become the leader
  Duration delay = 1s;      // of a message; in a storm up to two lease times
  WorkerFaults worker_faults{};
  bool leaders_ignore_their_end = false;
  bool falsely_proven_gone =
      false;  // a new leader believes that no worker of its predecessor lives
};

// Workers, leaders, network, store, target and time; every step one of them does something.
// Deterministic by seed.
class World {
 public:
  World(const WorldOptions& options, std::uint32_t seed);

  // Some steps of chaos, then calm until all is done. What is wrong; nullopt: nothing.
  std::optional<std::string> Run(int steps);

  struct Counters {
    int takeovers = 0, proven_gone = 0, expirations = 0, shrinks = 0, taken_up = 0, drained = 0,
        conflicts = 0;
    std::int64_t split_off = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  void Step();
  void PassTime();
  void StepWorker(std::size_t w);
  void StepLeader(std::size_t l);
  void TakeOver();
  // Of the shards that the store has in flight, none of whose holders lives.
  [[nodiscard]] std::map<ShardId, std::uint64_t> SentByTheDead() const;
  void CloseStreamsOf(std::size_t leader);
  void Break(SessionId id);
  void EndWorker(std::size_t w);
  void StartWorker(std::size_t w);
  [[nodiscard]] bool Happens(int per_ten_thousand) {
    return chaos_ && static_cast<int>(random_() % 10'000) < per_ten_thousand;
  }
  Leader::Out Out() { return {streams_, random_, chaos_ ? delay_ : Duration(100ms)}; }
  Duration UpTo(Duration d) { return d * (random_() % 1000) / 1000; }
  void Count(const Effects& effects);
  [[nodiscard]] std::string Describe() const;

  // The invariants. Each returns what is wrong.
  std::optional<std::string> Check();
  std::optional<std::string> CheckSenders() const;
  std::optional<std::string> CheckLedger(const ledger::Ledger& ledger) const;
  std::optional<std::string> CheckEnd();

  const WorldOptions options_;
  const LeaseOptions lease_options_;
  std::mt19937 random_;
  Time now_{Time(1h)};
  bool chaos_ = true;
  Duration delay_{};
  Range range_;
  Store store_;
  std::uint64_t checked_version_ = 0;
  Target target_;
  std::vector<std::unique_ptr<Leader>> leaders_;
  Time lock_until_{};
  std::uint64_t last_epoch_ = 0;
  struct Slot {
    std::unique_ptr<Worker> process;
    std::optional<SessionId> stream;
    Time asleep_until{};
    Time next_report{};
    bool finished = false;
  };
  std::vector<Slot> workers_;
  struct Ended {
    std::string worker, instance;
    SentBounds sent;
  };
  std::vector<Ended> gone_;                  // processes that ended, not yet reported
  std::map<std::string, SentBounds> notes_;  // of all that ended, by holder
  std::map<SessionId, Stream> streams_;
  std::uint64_t last_stream_ = 0;
  int instances_ = 0;
  Counters counters_;
};

}  // namespace backfill::lease::sim
