#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backfill/v1/coordinator.pb.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "operator/coordinator/attempt_meter.h"
#include "operator/coordinator/grants.h"
#include "operator/coordinator/held_back.h"
#include "operator/coordinator/leadership.h"
#include "operator/coordinator/ledger_flush.h"
#include "operator/coordinator/partition_share.h"
#include "operator/coordinator/sample_collector.h"
#include "operator/coordinator/stage_options.h"
#include "operator/lease/lease_book.h"
#include "operator/ledger/failure_log.h"
#include "operator/ledger/ledger.h"
#include "operator/observe/worker_signals.h"
#include "operator/reconcile/stage_host.h"

namespace backfill::coordinator {

// Where messages to workers go. Must not call back.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual void Send(SessionId session, v1::CoordinatorMessage&& message) = 0;
  // One each to many, in any order among them; all have been sent when it returns, as far as they
  // may. For what has to be everywhere soon.
  struct Outgoing {
    SessionId session;
    v1::CoordinatorMessage message;
  };
  virtual void SendAll(std::vector<Outgoing>&& messages) {
    for (Outgoing& one : messages) Send(one.session, std::move(one.message));
  }
  // Ends the stream. The stage forgets the session by itself.
  virtual void Close(SessionId session, const Error& reason) = 0;
};

// What an open stage is made of.
struct StageSetup {
  v1::Workload workload;
  ledger::Ledger ledger;  // stamped with `epoch` in the store
  ledger::FailureLog failures;
  Epoch epoch;
  Duration target_timeout{};
  int batch_size = 1;
  throttle::GrantTimes grants{};  // until the first Configure()
  lease::Predecessors predecessors = lease::Predecessors::kMayLive;
  std::map<ShardId, std::uint64_t> sent_at_most{};  // as of LeaseBook
  // A worker was sent a shard so long after it had asked for one and there was one. Must return at
  // once.
  std::function<void(Duration took)> on_granted = {};
  std::shared_ptr<observe::WorkerSignals> signals = nullptr;  // null: nobody asks
};

// One open stage: owns its ledger, leases, failures and rate grants; answers its workers.
//
// A worker's message goes to the lease book; what the book wants done becomes messages; what it
// changed is written by the LedgerWriter; what is confirmed goes back to the book, which then
// acknowledges or grants. So nothing that a worker relies on leaves before it is durable. Nothing
// at all leaves while leadership is not certain: streams are closed then, and workers come back to
// whoever leads.
//
// Not thread-safe, no I/O, never blocks: one loop calls it. The references must outlive it.
class StageRun {
 public:
  StageRun(StageSetup setup, const StageOptions& options, const Clock& clock,
           const Leadership& leadership, MessageSink& sink, LedgerWriter& writer);
  StageRun(const StageRun&) = delete;
  StageRun& operator=(const StageRun&) = delete;

  // `message` has passed the checks of every stream: the first is Hello, numbers rise. It has
  // arrived then; absent: now.
  void OnMessage(SessionId session, const v1::WorkerMessage& message,
                 std::optional<Time> arrived = std::nullopt);
  void OnGone(SessionId session);
  void OnWritten(const WriteOutcome& outcome);
  void OnWorkerGone(const std::string& worker, const std::string& instance,
                    const std::optional<SentBounds>& sent = std::nullopt);

  // Until the first one the stage is paused.
  void Configure(const reconcile::LiveSettings& settings);

  // Does what has become due. Call after every batch of inputs and at least every 100 ms.
  void Settle();

  // No more leases; streams end; everything is written. Then Settle() until closed().
  void BeginClose();
  // Nothing is left to write, or it never can be.
  [[nodiscard]] bool closed() const;

  [[nodiscard]] reconcile::StageSnapshot Snapshot() const;
  [[nodiscard]] std::vector<reconcile::Sample> Samples() const { return samples_.Samples(); }

 private:
  // Failures that are not in the store yet.
  struct UnwrittenFailures {
    std::uint64_t first_message = 0;  // that brought some
    std::uint64_t batch = 0;          // of LedgerFlush, that has them
  };
  // What workers are told besides leases and grants, and again when it has changed.
  struct Terms {
    bool paused = true;
    int concurrency = 0, attempts = 0, retry_budget_percent = 0;
    double latency_headroom = 0;
    Duration report_period{};
    bool operator==(const Terms&) const = default;
  };
  struct Worker {
    std::optional<Terms> told;                       // nullopt: not greeted yet
    std::uint64_t answered = 0;                      // highest accepted message
    std::deque<UnwrittenFailures> unwritten;         // ascending; at most one for each batch
    std::optional<std::uint64_t> attempts, retries;  // as last reported
    std::optional<Error> source_error;               // likewise
    std::string target_trouble;                      // likewise
    std::optional<Time> asked;                       // since when it waits for a shard
    std::string process;                             // its unique name
    double wanted = 0;                               // likewise: records/s that it could send
    HeldBack held_back;                              // likewise
  };

  // Whether anything may leave, right now.
  [[nodiscard]] bool Leads() const { return leadership_.Valid(clock_.Steady()); }

  void OnHello(SessionId session, const v1::Hello& hello, Time now);
  void OnProgress(SessionId session, std::uint64_t sequence, const v1::Progress& progress,
                  Time arrived, Time now);
  void OnFailures(SessionId session, std::uint64_t sequence, const v1::RecordFailures& failures);
  void TellWhatIsDurable();
  void OnSamples(const v1::DryRunSamples& samples);
  void OnSourceTrouble(SessionId session, const v1::SourceTrouble& trouble);

  void Perform(const lease::Effects& effects);
  void Perform(const lease::SendLease& effect);
  void Perform(const lease::SendAck& effect);
  void Perform(const lease::SendRevoke& effect);
  void Perform(const lease::SendShrink& effect);
  void Perform(const lease::SendNoMoreWork& effect);
  void Perform(const lease::CloseSession& effect);
  void Perform(const lease::Supersede& effect);
  void Perform(const lease::LeaseExpired& effect);

  void SendWelcome(SessionId session);
  // Whether it may leave; says then what it answers.
  bool Address(SessionId session, v1::CoordinatorMessage& message) const;
  // Whether it has left.
  bool Send(SessionId session, v1::CoordinatorMessage&& message);
  // What could not be told while leadership was in doubt is told later.
  void TellTerms();
  // Ends a stream and forgets it.
  void Drop(SessionId session, const Error& reason);
  void DropAll(const Error& reason);
  void Forget(SessionId session, Time now);

  [[nodiscard]] Terms CurrentTerms() const;
  [[nodiscard]] v1::Limits MakeLimits() const;
  [[nodiscard]] Duration ReconnectWindow() const;
  void AdaptReportPeriod();
  [[nodiscard]] bool paused() const { return settings_.paused || source_changed_.has_value(); }
  // The target has asked to be left alone; nothing is said to it for so long.
  [[nodiscard]] bool HeldBack(Time now) const { return now < held_until_; }
  void ApplyRate(Time now);
  void SendGrants(Time now);
  void SendPartitionCaps(Time now);

  const lease::LeaseOptions lease_options_;
  const v1::Workload workload_;
  const StageOptions options_;
  const std::function<void(Duration)> on_granted_;
  const Epoch epoch_;
  const Clock& clock_;
  const Leadership& leadership_;
  MessageSink& sink_;

  ledger::Ledger ledger_;
  ledger::FailureLog failures_;
  lease::LeaseBook book_;
  LedgerFlush flush_;
  Grants grants_;
  std::optional<PartitionShare> partitions_;  // of a target that has some
  AttemptMeter meter_;
  SampleCollector samples_;
  const std::shared_ptr<observe::WorkerSignals> signals_;

  reconcile::LiveSettings settings_;
  Duration report_period_;
  Time held_until_{};               // by what a worker heard from the target
  bool rate_is_held_ = false;       // the grants are those of a target that is left alone
  std::optional<Time> work_since_;  // since when there has been a shard to be had
  Time shared_at_{};                // the rate, over all workers
  bool share_now_ = false;          // somebody waits for it
  std::map<SessionId, Worker> workers_;
  bool closing_ = false;
  std::optional<Error> source_changed_;  // for good
  std::uint64_t welcomed_ = 0;
  std::uint64_t lease_expirations_ = 0;
};

}  // namespace backfill::coordinator
