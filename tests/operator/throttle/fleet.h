#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "operator/throttle/rate_share.h"

namespace backfill::throttle {

// A RateShare with simulated workers behind a network that takes its time: each worker obeys the
// latest grant that it received, from a token bucket, until the grant expires: counted, as in
// production, from when the worker sent the message that the grant answers. Deterministic for a
// seed; time is virtual.
class Fleet {
 public:
  struct Options {
    int batch_size = 1;
    Duration max_delay = std::chrono::milliseconds(150);  // of a message, one way
    Duration report_period = std::chrono::milliseconds(250);
    RateShareOptions share = {};
  };
  static constexpr Duration kStep = std::chrono::milliseconds(50);

  Fleet(const Options& options, unsigned seed);

  // ---- levers; workers are known by their index
  int Join(double capacity);  // records/s that it could send
  void SetCapacity(int worker, double capacity);
  void Leave(
      int worker);  // the stream breaks; the worker goes on with what it has until that expires
  void Reconnect(int worker);  // ... and comes back on a new stream, with what is left of its grant
  void Kill(int worker);       // the process is gone, and that is known
  void Partition(int worker);  // the stream looks alive, but nothing gets through any more
  void SetRate(double records_per_second);

  void Step();
  void Run(Duration d);

  // ---- what is true
  [[nodiscard]] Time now() const { return now_; }
  [[nodiscard]] double sent() const { return sent_; }
  [[nodiscard]] double SentBy(int worker) const { return workers_.at(index(worker)).sent; }
  [[nodiscard]] double GrantOf(int worker) const { return workers_.at(index(worker)).Rate(now_); }
  [[nodiscard]] double Believed() const;  // the sum of what living workers believe to have
  [[nodiscard]] double Outstanding() const { return share_.Outstanding(now_); }
  [[nodiscard]] double DeepestBursts() const;  // sum of the bucket depths of living workers
  [[nodiscard]] int grants() const { return grants_; }
  [[nodiscard]] std::size_t workers() const { return workers_.size(); }
  [[nodiscard]] bool IsConnected(int worker) const { return workers_.at(index(worker)).connected; }
  [[nodiscard]] bool IsAlive(int worker) const { return workers_.at(index(worker)).alive; }
  // Empty, or which promise of RateShare was broken at some step so far.
  [[nodiscard]] const std::string& broken() const { return broken_; }

 private:
  struct Report {
    Time arrives;
    std::uint64_t message = 0;
    Demand demand;
  };
  struct Grant {
    Time arrives;
    std::uint64_t answers = 0;
    GrantAction action;
  };
  struct Worker {
    SessionId session;
    bool alive = true, connected = true, partitioned = false;
    double capacity = 0;
    // of the worker
    std::uint64_t messages = 0;
    std::map<std::uint64_t, Time> sent_at;
    std::uint64_t obeyed = 0;
    double rate = 0, burst = 0, tokens = 0, work = 0, sent = 0;
    Time expires, next_report;
    // of the network, and of the operator
    std::deque<Report> reports;
    std::deque<Grant> grants;
    std::uint64_t accepted = 0;

    [[nodiscard]] double Rate(Time now) const { return alive && now < expires ? rate : 0; }
  };

  static std::size_t index(int worker) { return static_cast<std::size_t>(worker); }
  Duration Delay();
  void Deliver(Worker& w);
  void SendReport(Worker& w);
  void Work(Worker& w) const;
  void Check();

  const Options options_;
  std::mt19937 random_;
  RateShare share_;
  Time now_{std::chrono::hours(1)};
  std::vector<Worker> workers_;
  std::map<SessionId, std::size_t> by_session_;
  std::uint64_t next_session_ = 1;
  double rate_ = 0;
  double allowed_ =
      0;  // what may be outstanding at most: never more than before, unless it is within the rate
  double sent_ = 0;
  int grants_ = 0;
  std::string broken_;
};

}  // namespace backfill::throttle
