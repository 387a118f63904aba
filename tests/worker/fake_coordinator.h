#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backfill/v1/coordinator.pb.h"
#include "backfill/v1/workload.pb.h"
#include "base/range.h"

namespace backfill::fakes {

struct FakeCoordinatorOptions {
  v1::Workload workload;
  std::vector<Range> shards;
  double records_per_second = 1e9;
  double burst = 1e6;
  std::uint32_t grant_valid_ms = 30'000;
  std::uint32_t concurrency = 8;
  std::uint32_t attempts = 3;
  std::uint32_t retry_budget_percent = 10;
  std::uint32_t report_period_ms = 50;
  std::uint32_t fence_ms = 50'000;
  std::uint32_t max_leases = 2;
  std::string token = "secret";
};

// A coordinator over real gRPC on a unix socket: gives shards away, keeps what is reported, says
// when all is done. No ledger, no expiry. Every report is checked: what breaks the protocol lands
// in violations(). Levers may be pulled from any thread.
class FakeCoordinator {
 public:
  explicit FakeCoordinator(const FakeCoordinatorOptions& options);
  ~FakeCoordinator();
  FakeCoordinator(const FakeCoordinator&) = delete;
  FakeCoordinator& operator=(const FakeCoordinator&) = delete;

  [[nodiscard]] std::string address() const;

  // ---- levers
  void DropStreams();
  void HoldAnswers(bool hold);  // messages are read and accepted, no answer leaves
  void NewEpoch();              // a new leader: streams drop, epoch + 1
  void RefuseToken(bool refuse);
  void SetPaused(bool paused);
  void SetRate(double records_per_second, double burst);
  void Revoke(std::int32_t shard);
  void Shrink(std::int32_t shard, Position end);
  void TellNoMoreWork(bool tell);  // when all is done; the default

  // ---- what happened
  struct Shard {
    Range range;
    std::uint32_t attempt = 0;
    std::string holder;  // instance
    Position cursor = 0;
    std::string done_above;
    v1::OutcomeCounts counts;
    std::uint32_t in_flight = 0;
    bool done = false;
  };
  [[nodiscard]] std::vector<Shard> shards() const;
  [[nodiscard]] std::uint64_t records_done() const;
  [[nodiscard]] std::map<Position, v1::RecordFailure> failures() const;
  [[nodiscard]] std::vector<v1::DryRunSample> samples() const;
  [[nodiscard]] std::vector<v1::Hello> hellos() const;
  [[nodiscard]] std::uint64_t attempts() const;  // as last reported
  [[nodiscard]] v1::HeldBack held_back() const;  // likewise
  [[nodiscard]] int drained() const;             // Draining messages
  [[nodiscard]] int reports() const;             // Progress messages
  [[nodiscard]] bool all_done() const;
  [[nodiscard]] std::vector<std::string> violations() const;

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace backfill::fakes
