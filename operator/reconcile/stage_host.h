#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/ledger/failure_log.h"
#include "operator/ledger/ledger.h"
#include "operator/plan/found_source.h"
#include "operator/plan/plan.h"
#include "operator/throttle/grant_times.h"

namespace backfill::reconcile {

// What a stage does with the records; each has a pool of workers of its own, and a ledger, but for
// kPlan: there one worker reads the source, where that is not for the operator to do.
enum class Stage { kPlan, kDryRun, kRun };
inline constexpr std::array kStages = {Stage::kPlan, Stage::kDryRun, Stage::kRun};
std::string_view ToString(Stage stage);  // "plan", "dry-run", "run"

// Which stage of which Backfill.
struct StageKey {
  std::string ns;
  std::string name;
  std::string uid;
  Stage stage = Stage::kRun;
  auto operator<=>(const StageKey&) const = default;
};
StageKey KeyOf(const api::Backfill& backfill, Stage stage);

struct LedgerSummary {
  std::string plan_hash;
  ledger::Totals totals;
};

// What may be sent to the partitions of a target, by all workers together.
struct PartitionRates {
  std::map<std::string, double> named = {};  // records/s
  double others = 0;                         // of all that are not named, together
  bool operator==(const PartitionRates&) const = default;
};

// What workers send to one partition.
struct PartitionFlow {
  double attempts_per_second = 0;  // over the last 5 s
  std::uint64_t waiting = 0;       // records that were read and wait
  bool limited = false;            // for its rate
  bool operator==(const PartitionFlow&) const = default;
};

// What may change while a stage is open.
struct LiveSettings {
  bool paused = false;
  double records_per_second = 0;  // 0 for a dry run: no limit is needed where nothing is sent
  bool unlimited = false;
  int concurrency = 16;
  int attempts = 5;
  // Of workers' inner loops: how many times slower than usual the target may get. 0: whatever it
  // is.
  double latency_headroom = 1.25;
  int retry_budget_percent = 10;   // records sent again per 100 sent for the first time
  double pressure = 0;             // the largest of the target's budgets; over 1: exceeded
  PartitionRates partitions = {};  // of a target that has some; within records_per_second
  throttle::GrantTimes grants = {};
  bool operator==(const LiveSettings&) const = default;
};

// Workers that do not use all of their grants, by what they see of the target themselves.
struct HeldByWorkers {
  int slow = 0;         // the target has become slower
  double slowdown = 0;  // as many times as usual, for the worker for which it is the most
  int refused = 0;      // it refuses requests (429, 503, 504), or does not answer in time
};

// What an open stage looks like right now.
struct StageSnapshot {
  ledger::Totals totals;           // as in the ledger's memory
  bool flushed = false;            // all of it is durable
  int connected = 0;               // workers with a stream
  std::uint64_t sessions = 0;      // streams that were welcomed since the stage was opened
  double attempts_per_second = 0;  // measured over the last 5 s, retries included
  double granted = 0;              // records/s that workers may believe to have, all together
  double allowed = 0;              // records/s that they may be granted without another Configure()
  // While grants of an earlier leader may be in force: what workers say so far that they have of
  // them.
  std::optional<double> reported;
  // By partition, where the target has some. No name: those beyond the first 64 names, and records
  // without one.
  std::map<std::string, PartitionFlow> partitions = {};
  bool records_wait = false;                // workers could send more than the rate lets them
  bool target_holds_back = false;           // any of the three below
  bool retries_spent = false;               // workers wait for the retry budget
  HeldByWorkers held_by_workers;            // their inner loops
  std::optional<Duration> target_held_for;  // so long it still wants to be left alone (Retry-After)
  int working = 0;                          // workers that have records to send
  int without_target = 0;                   // workers that cannot reach it
  std::string target_trouble;               // why, as one of them says
  int frozen_shards = 0;                    // wait for the requests of lost workers to end
  std::optional<Duration> frozen_for;
  // Set when the stage cannot go on: kConflict (another leader has written the ledger), kInternal
  // (ledger corrupt), kUnavailable (the store refuses writes; it is retried).
  std::optional<Error> error;
  // A worker cannot read the source: kConflict (it is not as it was planned; nothing is sent any
  // more), kUnavailable (tried again).
  std::optional<Error> source_error;
  // Of silent workers, since the stage was opened.
  std::uint64_t lease_expirations = 0;
  // All that became of records before so long ago is durable.
  Duration unwritten_for{};
};

// What the planning by a worker looks like right now.
struct PlanningSnapshot {
  bool connected = false;
  std::uint64_t bytes_read = 0;
  std::optional<std::uint64_t> bytes_total;
  std::uint64_t records = 0;
  Duration quiet_for{};   // since anything was read last, by a worker that is connected
  bool ended = false;     // Found() says what came of it
  bool outdated = false;  // it is not what the spec means now
  bool operator==(const PlanningSnapshot&) const = default;
};

// A rendered request of a dry run.
struct Sample {
  std::string key;
  std::string request;
};

// Carries out stages: serves their workers, keeps their ledgers. Thread-safe; calls may block on
// the store.
class StageHost {
 public:
  virtual ~StageHost() = default;

  // Makes the ledger of a stage durable. One of the same plan is kept as it is; one of another plan
  // is replaced unless a shard of it was ever leased (kConflict).
  virtual Status CreateLedger(const StageKey& key, const plan::Plan& plan) = 0;

  // Without opening the stage. kNotFound: there is none; kInternal: it is damaged.
  virtual Result<LedgerSummary> ReadLedger(const StageKey& key) = 0;

  // The failed records that stand, without opening the stage; none where it never ran.
  virtual Result<std::vector<ledger::FailedRecord>> ReadFailures(const StageKey& key) = 0;

  // Takes up the stage as its leader under a new epoch (highest in the ledger + 1, stamped into
  // every chunk before the first lease) and begins to serve its workers. Of kPlan: its worker is
  // told to read the source as this spec says.
  virtual Status Open(const api::Backfill& backfill, const StageKey& key) = 0;
  virtual void Configure(const StageKey& key, const LiveSettings& settings) = 0;
  // nullopt: not open.
  virtual std::optional<StageSnapshot> Snapshot(const StageKey& key) = 0;
  // Of kPlan, which has no StageSnapshot. nullopt: not open.
  virtual std::optional<PlanningSnapshot> Planning(const api::Backfill& backfill) = 0;
  // What the worker of kPlan has found in the source; it stays until the stage is closed.
  // kNotFound: it has not ended; kInvalid: as the source is, it cannot be planned; kUnavailable: it
  // cannot be read now.
  virtual Result<plan::FoundSource> Found(const StageKey& key) = 0;
  // Of a dry run: the first 10 and up to 10 spread over the shards.
  virtual std::vector<Sample> Samples(const StageKey& key) = 0;

  // No more leases; what is in memory is written; streams end. kUnavailable: not all could be
  // written.
  virtual Status Close(const StageKey& key) = 0;

  // That worker process has ended for certain.
  virtual void WorkerGone(const StageKey& key, const std::string& worker,
                          const std::string& instance) = 0;
};

}  // namespace backfill::reconcile
