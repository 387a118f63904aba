#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bench/scale/referee.h"
#include "bench/scale/samples.h"
#include "bench/scale/worker_stream.h"
#include "worker/link/session.h"

namespace backfill::scale {

using namespace std::chrono_literals;

// What all workers of a fleet have in common.
struct FleetOptions {
  std::string address;  // as of a gRPC target
  std::string token;
  std::string authorities;  // PEM; empty: without TLS
  std::string uid;
  int workers = 1;
  Duration target_latency = 20ms;
  // Of so many records one fails for good. 0: none.
  std::int64_t one_fails_of = 997;
  std::uint64_t seed = 1;
};

// What is measured of them.
struct FleetFigures {
  Samples ask_ms;          // from asking for work to a lease
  std::uint64_t sent = 0;  // messages
  std::uint64_t received = 0;
  std::uint64_t streams = 0;                     // welcomed
  std::uint64_t lost = 0;                        // streams that ended
  std::optional<Time> first_lease;               // since ForgetLeases()
  std::map<std::string, std::uint64_t> endings;  // why streams ended
};

// A worker as a coordinator sees it: the session and the engine of a real one, a connection of its
// own, and a target that answers from memory after a while. It goes on for ever, as a real one does
// through a restart of the operator. One thread makes all calls, every 20 ms or so Tick().
class SimulatedWorker final : worker::Session::Host, WorkerStream::Events {
 public:
  // They must outlive it; `figures` and `measuring` are those of the fleet.
  SimulatedWorker(int index, const FleetOptions& options, grpc::CompletionQueue& queue,
                  Referee& referee, FleetFigures& figures, const bool& measuring);

  void Tick(Time now);
  // The stream ends; call Tick() no more. Nothing is under way once idle().
  void Stop();
  [[nodiscard]] bool idle() const { return stream_ == nullptr; }

  [[nodiscard]] bool welcomed() const { return welcomed_; }
  // It was told that there is no more work, or has given up.
  [[nodiscard]] bool ended() const { return session_.ended().has_value(); }
  [[nodiscard]] std::optional<worker::SessionEnd> end() const { return session_.ended(); }
  // What it may send now.
  [[nodiscard]] double Granted(Time now);

  // From now on grants are noted.
  void WatchGrants() { grants_.clear(); }
  // When it was first told a rate that differs by a tenth from what it had before. nullopt: it was
  // not.
  [[nodiscard]] std::optional<Time> ToldAnotherRate() const;

 private:
  bool Send(std::uint64_t stream, v1::WorkerMessage message) override;
  void SetReconnectWindow(Duration window) override { window_ = window; }
  void ReconnectSoon() override {}
  Status OnWorkload(const v1::Workload& /*workload*/) override { return Ok{}; }
  std::vector<worker::TargetSample> TakeSamples() override { return {}; }
  void OnExtent(const v1::FileExtent& /*extent*/) override {}

  void OnOpen() override;
  void OnMessage(const v1::CoordinatorMessage& message) override;
  void OnEnd(const grpc::Status& status) override;

  void Connect(Time now);
  void Pump(Time now);
  void Answer(Time now);
  void Note(const v1::CoordinatorMessage& message, Time now);
  [[nodiscard]] worker::BatchResult ResultOf(const std::vector<worker::Record>& records) const;

  struct OnTheWire {
    Time due;
    std::uint32_t slot = 0;
    worker::LeaseKey lease;
    worker::BatchResult result;
  };

  const int index_;
  const FleetOptions& options_;
  grpc::CompletionQueue& queue_;
  Referee& referee_;
  FleetFigures& figures_;
  const bool& measuring_;
  std::mt19937_64 random_;
  worker::Session session_;

  std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::unique_ptr<WorkerStream> stream_;
  std::uint64_t number_ = 0;  // of the stream
  bool welcomed_ = false;
  bool stopped_ = false;
  Time opened_{}, heard_{}, reconnect_at_{};
  Duration window_{};
  int failures_ = 0;

  std::map<ShardId, Attempt> leases_;  // the latest of each shard that it was given
  std::deque<OnTheWire> wire_;
  std::uint64_t news_ = 0;
  std::optional<Time> asked_;
  bool ask_counts_ = false;
  double rate_ = 0;                            // as last told
  std::vector<std::pair<Time, bool>> grants_;  // since WatchGrants(): when; whether it differs
};

}  // namespace backfill::scale
