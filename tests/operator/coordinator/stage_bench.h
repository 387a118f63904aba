#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/coordinator/ledger_store.h"
#include "operator/coordinator/stage_messages.h"
#include "operator/coordinator/stage_run.h"
#include "operator/coordinator/takeover.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/store_levers.h"
#include "tests/operator/coordinator/plans.h"

// One stage on a bench: its workers, its writer and its clock are moved by hand.
namespace backfill::coordinator {

using namespace std::chrono_literals;

class LeadershipLever final : public Leadership {
 public:
  [[nodiscard]] bool Valid(Time /*now*/) const override { return valid; }
  bool valid = true;
};

// Keeps what was sent.
class RecordingSink final : public MessageSink {
 public:
  void Send(SessionId session, v1::CoordinatorMessage&& message) override {
    EXPECT_FALSE(closed.contains(session)) << "sent after the end";
    sent[session].push_back(std::move(message));
  }
  void Close(SessionId session, const Error& reason) override {
    EXPECT_TRUE(closed.emplace(session, reason).second) << "closed twice";
  }
  std::map<SessionId, std::vector<v1::CoordinatorMessage>> sent;
  std::map<SessionId, Error> closed;
};

// Holds batches back until they are told to be written.
class HeldWriter final : public LedgerWriter {
 public:
  void Write(std::vector<LedgerWrite> batch) override {
    EXPECT_FALSE(held) << "two batches at once";
    held = std::move(batch);
    ++batches;
  }
  std::optional<std::vector<LedgerWrite>> held;
  int batches = 0;
};

// A leader of one stage over a store that outlives it.
class StageBench {
 public:
  StageBench(kube::ObjectStore& store, fakes::ManualClock& clock, const reconcile::StageKey& key,
             const StageOptions& options = {},
             lease::Predecessors predecessors = lease::Predecessors::kMayLive,
             const std::string& partition_by = "")
      : clock_(clock), store_(store, key) {
    auto taken = TakeOver(store_);
    if (!taken.ok()) {
      ADD_FAILURE() << taken.error().message;
      std::abort();
    }
    epoch_ = taken->epoch;
    v1::Workload workload;
    workload.set_backfill_name(key.name);
    workload.set_partition_by(partition_by);
    run_ = std::make_unique<StageRun>(
        StageSetup{.workload = workload,
                   .ledger = std::move(taken->ledger),
                   .failures = std::move(taken->failures),
                   .epoch = taken->epoch,
                   .target_timeout = 5s,
                   .batch_size = 1,
                   .predecessors = predecessors,
                   .on_granted = [this](Duration took) { granted.push_back(took); }},
        options, clock, leadership, sink, writer);
  }

  // ---- the writer

  // Writes what is held, and what follows from it, until nothing is left to write.
  void FinishWrites() {
    for (int i = 0; i < 100; ++i) {
      run_->Settle();
      if (!FinishOneBatch()) return;
    }
    ADD_FAILURE() << "writes without end";
  }
  bool FinishOneBatch() {
    if (!writer.held) return false;
    const std::vector<LedgerWrite> batch = *std::exchange(writer.held, std::nullopt);
    run_->OnWritten(store_.Write(batch, epoch_));
    run_->Settle();
    return true;
  }
  // The first of what is held become durable, and nobody hears of it: the process dies then.
  void WriteUnheard(std::size_t count) {
    if (!writer.held) return;
    std::vector<LedgerWrite> batch = *std::exchange(writer.held, std::nullopt);
    batch.resize(std::min(count, batch.size()));
    const WriteOutcome lost = store_.Write(batch, epoch_);
    static_cast<void>(lost);
  }
  // Time passes as in production: ticks, with the writer keeping up.
  void Pass(Duration duration) {
    for (Duration step{}; step < duration; step += 50ms) {
      clock_.Advance(50ms);
      run_->Settle();
      FinishOneBatch();
    }
  }

  // ---- workers

  SessionId Hello(const std::string& worker, const std::string& instance = "i",
                  const std::vector<v1::LeaseProgress>& held = {}) {
    const SessionId session{++last_session_};
    v1::WorkerMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_worker(worker);
    hello.set_instance(instance);
    hello.set_partitions(true);
    for (const v1::LeaseProgress& lease : held) *hello.add_held() = lease;
    Say(session, message);
    return session;
  }
  // Numbers the message.
  void Say(SessionId session, v1::WorkerMessage message) {
    message.set_sequence(++sequences_[session]);
    run_->OnMessage(session, message);
  }
  void Progress(SessionId session, std::uint32_t wanted,
                const std::vector<v1::LeaseProgress>& leases = {}, std::uint64_t attempts = 0,
                std::uint64_t retries = 0) {
    v1::WorkerMessage message;
    v1::Progress& progress = *message.mutable_progress();
    progress.set_shards_wanted(wanted);
    progress.set_wanted_records_per_second(1e6);
    progress.set_attempts(attempts);
    progress.set_retries(retries);
    for (const v1::LeaseProgress& lease : leases) *progress.add_leases() = lease;
    if (const auto grant = Last(session, v1::CoordinatorMessage::kGrant)) {
      progress.set_grant_sequence(grant->grant().sequence());
    }
    Say(session, message);
  }
  // The report of a worker that has nothing to send.
  void Idle(SessionId session) {
    v1::WorkerMessage message;
    message.mutable_progress()->set_shards_wanted(1);
    if (const auto grant = Last(session, v1::CoordinatorMessage::kGrant)) {
      message.mutable_progress()->set_grant_sequence(grant->grant().sequence());
    }
    Say(session, message);
  }
  // The report of a worker that was told by the target to leave it alone.
  void HoldBack(SessionId session, Duration hold) {
    v1::WorkerMessage message;
    message.mutable_progress()->set_wanted_records_per_second(1e6);
    message.mutable_progress()->set_hold_ms(ToMillis(hold));
    if (const auto grant = Last(session, v1::CoordinatorMessage::kGrant)) {
      message.mutable_progress()->set_grant_sequence(grant->grant().sequence());
    }
    Say(session, message);
  }
  void Done(SessionId session, const v1::LeaseProgress& lease) {
    v1::WorkerMessage message;
    *message.mutable_shard_done()->mutable_lease() = lease;
    Say(session, message);
  }
  void Fail(SessionId session, const v1::LeaseRef& lease, std::int64_t position) {
    Fail(session, lease, Range{position, position + 1});
  }
  // In one message. Returns its number.
  std::uint64_t Fail(SessionId session, const v1::LeaseRef& lease, const Range& positions) {
    v1::WorkerMessage message;
    *message.mutable_record_failures()->mutable_lease() = lease;
    for (std::int64_t p = positions.begin; p < positions.end; ++p) {
      v1::RecordFailure& failure = *message.mutable_record_failures()->add_failures();
      failure.set_position(p);
      failure.set_key(std::to_string(p));
      failure.set_class_(v1::FAILURE_CLASS_PERMANENT);
      failure.set_attempts(1);
      failure.set_message("no");
    }
    Say(session, message);
    return sequences_[session];
  }
  void Disconnect(SessionId session) { run_->OnGone(session); }

  // Asks for a shard and gets it; the writer keeps up.
  v1::Lease Lease(SessionId session) {
    const std::size_t before = Count(session, v1::CoordinatorMessage::kLease);
    Progress(session, 1);
    FinishWrites();
    EXPECT_EQ(Count(session, v1::CoordinatorMessage::kLease), before + 1) << "no lease came";
    return Last(session, v1::CoordinatorMessage::kLease)->lease();
  }
  // How a lease stands after `done` of its records, `failed` of them failed.
  static v1::LeaseProgress At(const v1::Lease& lease, std::int64_t done, std::uint64_t failed = 0) {
    v1::LeaseProgress progress;
    *progress.mutable_lease() = lease.lease();
    progress.set_end(lease.end());
    progress.set_cursor(lease.begin() + done);
    progress.mutable_counts()->set_updated(static_cast<std::uint64_t>(done) - failed);
    progress.mutable_counts()->set_failed(failed);
    return progress;
  }
  static v1::LeaseProgress Complete(const v1::Lease& lease, std::uint64_t failed = 0) {
    return At(lease, lease.end() - lease.begin(), failed);
  }

  // ---- what was sent

  std::size_t Count(SessionId session, v1::CoordinatorMessage::BodyCase body) {
    std::size_t n = 0;
    for (const auto& message : sink.sent[session]) n += message.body_case() == body ? 1 : 0;
    return n;
  }
  std::optional<v1::CoordinatorMessage> Last(SessionId session,
                                             v1::CoordinatorMessage::BodyCase body) {
    std::optional<v1::CoordinatorMessage> last;
    for (const auto& message : sink.sent[session]) {
      if (message.body_case() == body) last = message;
    }
    return last;
  }
  // Whether any Ack said that the lease's end is durable.
  bool Acknowledged(SessionId session, const v1::LeaseRef& lease) {
    for (const auto& message : sink.sent[session]) {
      for (const v1::LeaseRef& done : message.ack().done()) {
        if (done.shard() == lease.shard() && done.attempt() == lease.attempt()) return true;
      }
    }
    return false;
  }

  StageRun& run() { return *run_; }
  [[nodiscard]] Epoch epoch() const { return epoch_; }

  LeadershipLever leadership;
  RecordingSink sink;
  HeldWriter writer;
  std::vector<Duration> granted;  // how long workers waited for a shard

 private:
  fakes::ManualClock& clock_;
  LedgerStore store_;
  Epoch epoch_;
  std::unique_ptr<StageRun> run_;
  std::map<SessionId, std::uint64_t> sequences_;
  std::uint64_t last_session_ = 0;
};

inline const Error kAway{ErrorCode::kUnavailable, "disk full"};

// A stage over a store with levers.
class StageTest : public ::testing::Test {
 protected:
  void CreateLedger(int shards, std::int64_t size, const reconcile::StageKey& key = RunKey()) {
    LedgerStore creator(memory_, key);
    ASSERT_TRUE(creator.Create(Images(PlanOf(shards, size)), Epoch{0}).ok());
  }
  // A stage that runs at 1,000 records/s.
  StageBench& Open(int shards = 10, std::int64_t size = 100) {
    CreateLedger(shards, size);
    return Reopen();
  }
  StageBench& Reopen(lease::Predecessors predecessors = lease::Predecessors::kMayLive) {
    bench_ = std::make_unique<StageBench>(levers_, clock_, RunKey(), options_, predecessors);
    bench_->run().Configure(Running());
    levers_.ForgetWrites();
    return *bench_;
  }
  static reconcile::LiveSettings Running() {
    reconcile::LiveSettings settings;
    settings.records_per_second = 1000;
    return settings;
  }
  static reconcile::LiveSettings Paused() {
    reconcile::LiveSettings settings = Running();
    settings.paused = true;
    return settings;
  }
  ledger::Shard Stored(int shard) {
    const auto shards = ReadShards(memory_, RunKey());
    for (const ledger::Shard& s : *shards) {
      if (s.id == ShardId{shard}) return s;
    }
    ADD_FAILURE() << "no shard " << shard;
    return {};
  }

  StageOptions options_;
  fakes::ManualClock clock_;
  fakes::MemoryStore memory_{&clock_};
  fakes::StoreLevers levers_{memory_};
  std::unique_ptr<StageBench> bench_;
};

}  // namespace backfill::coordinator
