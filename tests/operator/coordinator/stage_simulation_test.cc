#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "base/log.h"
#include "tests/operator/coordinator/stage_bench.h"

// A stage under everything at once: workers that come, go and die, a store that fails and loses
// answers, leaders that are replaced in the middle of a write. In the end every record has one
// outcome, and the failures are exactly those that happened.
namespace backfill::coordinator {
namespace {

using v1::CoordinatorMessage;

constexpr std::int64_t kRecords = 3000;
constexpr int kShards = 30;

bool Fails(std::int64_t position) { return position % 17 == 0; }

// As a worker process behaves: counts in order, tells of failures before the progress that passes
// them, and again after each Hello.
class SimulatedWorker {
 public:
  SimulatedWorker(std::string name, std::string instance)
      : name_(std::move(name)), instance_(std::move(instance)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& instance() const { return instance_; }
  [[nodiscard]] bool connected() const { return session_.has_value(); }
  [[nodiscard]] bool finished() const { return finished_; }

  void Connect(StageBench& stage) {
    std::vector<v1::LeaseProgress> held;
    for (const auto& [shard, lease] : leases_) held.push_back(Stand(lease));
    session_ = stage.Hello(name_, instance_, held);
    heard_ = 0;
    welcomed_ = false;
    for (auto& [shard, lease] : leases_) lease.told = lease.taken_at;
  }
  void Disconnect(StageBench& stage) {
    if (!stage.sink.closed.contains(*session_)) stage.Disconnect(*session_);
    session_.reset();
  }
  void LeaderGone() { session_.reset(); }

  void Hear(StageBench& stage) {
    if (!session_) return;
    const auto& sent = stage.sink.sent[*session_];
    for (; heard_ < sent.size(); ++heard_) Hear(sent[heard_]);
    if (stage.sink.closed.contains(*session_)) session_.reset();
  }
  void Work(std::mt19937& random) {
    for (auto& [shard, lease] : leases_) {
      lease.cursor =
          std::min<std::int64_t>(lease.end, lease.cursor + static_cast<int>(random() % 40));
    }
  }
  void Report(StageBench& stage) {
    std::vector<v1::LeaseProgress> reports;
    for (auto& [shard, lease] : leases_) {
      for (; lease.told < lease.cursor; ++lease.told) {
        if (Fails(lease.told)) stage.Fail(*session_, lease.ref, lease.told);
      }
      if (lease.cursor == lease.end) {
        stage.Done(*session_, Stand(lease));
      } else {
        reports.push_back(Stand(lease));
      }
      if (stage.sink.closed.contains(*session_)) return;
    }
    stage.Progress(*session_, leases_.size() < 2 ? 1 : 0, reports);
  }

 private:
  struct Held {
    v1::LeaseRef ref;
    std::int64_t begin = 0, end = 0, cursor = 0;
    std::int64_t taken_at = 0;  // what is before it was done under earlier attempts
    std::int64_t told = 0;      // failures before it were reported on this stream
  };

  static v1::LeaseProgress Stand(const Held& lease) {
    v1::LeaseProgress progress;
    *progress.mutable_lease() = lease.ref;
    progress.set_end(lease.end);
    progress.set_cursor(lease.cursor);
    for (std::int64_t p = lease.begin; p < lease.cursor; ++p) {
      v1::OutcomeCounts& counts = *progress.mutable_counts();
      Fails(p) ? counts.set_failed(counts.failed() + 1) : counts.set_updated(counts.updated() + 1);
    }
    return progress;
  }
  void Drop(const v1::LeaseRef& ref) {
    const auto it = leases_.find(ref.shard());
    if (it != leases_.end() && it->second.ref.attempt() == ref.attempt()) leases_.erase(it);
  }
  void Hear(const CoordinatorMessage& message) {
    if (message.has_welcome()) {
      std::map<std::int32_t, Held> kept;
      for (const v1::LeaseRef& ref : message.welcome().kept()) {
        kept[ref.shard()] = leases_.at(ref.shard());
        kept[ref.shard()].ref = ref;
      }
      leases_ = kept;
      welcomed_ = true;
    }
    ASSERT_TRUE(welcomed_) << "something came before Welcome";
    if (message.has_lease()) {
      const v1::Lease& lease = message.lease();
      leases_[lease.lease().shard()] = {.ref = lease.lease(),
                                        .begin = lease.begin(),
                                        .end = lease.end(),
                                        .cursor = lease.cursor(),
                                        .taken_at = lease.cursor(),
                                        .told = lease.cursor()};
    }
    if (message.has_shrink()) {
      const auto it = leases_.find(message.shrink().lease().shard());
      if (it != leases_.end()) {
        it->second.end =
            std::min(it->second.end, std::max(it->second.cursor, message.shrink().end()));
      }
    }
    if (message.has_revoke()) Drop(message.revoke().lease());
    for (const v1::LeaseRef& ref : message.ack().done()) Drop(ref);
    if (message.has_no_more_work()) finished_ = true;
  }

  const std::string name_, instance_;
  std::optional<SessionId> session_;
  std::size_t heard_ = 0;
  bool welcomed_ = false;
  bool finished_ = false;
  std::map<std::int32_t, Held> leases_;
};

class Simulation {
 public:
  explicit Simulation(unsigned seed) : random_(seed) {
    LedgerStore creator(memory_, RunKey());
    if (!creator.Create(Images(PlanOf(kShards, kRecords / kShards)), Epoch{0}).ok()) std::abort();
    for (int i = 0; i < 4; ++i) StartWorker(i);
    Lead();
  }

  bool Step() {
    const int what = static_cast<int>(random_() % 100);
    SimulatedWorker& worker = *workers_[random_() % workers_.size()];
    if (what < 60) {
      Turn(worker);
    } else if (what < 70) {
      stage_->Pass(50ms * static_cast<int>(random_() % 20));
    } else if (what < 75) {
      stage_->FinishOneBatch();
    } else if (what < 79) {
      levers_.FailNext(static_cast<int>(random_() % 4), {ErrorCode::kUnavailable, "away"});
    } else if (what < 83) {
      levers_.FailAfterApply(static_cast<int>(random_() % 3), {ErrorCode::kUnavailable, "lost"});
    } else if (what < 88) {
      if (worker.connected()) worker.Disconnect(*stage_);
    } else if (what < 90) {
      Kill(worker);
    } else if (what < 92) {
      Lead();
    } else if (what < 93) {
      LoseEverybodyForLong();
    } else {
      stage_->run().Settle();
    }
    return std::ranges::all_of(workers_, [](const auto& w) { return w->finished(); });
  }
  // From now on all goes well.
  void Calm() {
    levers_.FailNext(0, {});
    levers_.FailAfterApply(0, {});
  }
  void Turn() {
    for (const auto& worker : workers_) Turn(*worker);
    stage_->Pass(250ms);
  }

  void Check() {
    const ledger::Totals totals = stage_->run().Snapshot().totals;
    std::set<std::int64_t> expected;
    for (std::int64_t p = 0; p < kRecords; ++p) {
      if (Fails(p)) expected.insert(p);
    }
    EXPECT_EQ(totals.counts.total(), static_cast<std::uint64_t>(kRecords));
    EXPECT_EQ(totals.counts.failed, expected.size());
    EXPECT_EQ(totals.shards_done, totals.shards);
    EXPECT_TRUE(stage_->run().Snapshot().flushed);
    const auto failures = ReadFailures(memory_, RunKey());
    ASSERT_TRUE(failures.ok()) << failures.error().message;
    std::map<std::int64_t, int> recorded;
    for (const ledger::FailedRecord& f : *failures) ++recorded[f.position];
    for (const std::int64_t p : expected) EXPECT_EQ(recorded[p], 1) << "failure of " << p;
    EXPECT_EQ(recorded.size(), expected.size());
    std::uint64_t stored = 0;
    const auto shards = ReadShards(memory_, RunKey());
    ASSERT_TRUE(shards.ok());
    for (const ledger::Shard& s : *shards) stored += s.counts.total();
    EXPECT_EQ(stored, static_cast<std::uint64_t>(kRecords));
  }

  int kills() const { return kills_; }
  int leaders() const { return leaders_; }

 private:
  void Turn(SimulatedWorker& worker) {
    if (!worker.connected()) worker.Connect(*stage_);
    worker.Hear(*stage_);
    if (!worker.connected()) return;
    worker.Work(random_);
    worker.Report(*stage_);
    worker.Hear(*stage_);
  }
  void StartWorker(int slot) {
    const auto worker = std::make_shared<SimulatedWorker>("run-" + std::to_string(slot),
                                                          "i" + std::to_string(started_++));
    if (static_cast<std::size_t>(slot) == workers_.size()) {
      workers_.push_back(worker);
    } else {
      workers_[static_cast<std::size_t>(slot)] = worker;
    }
  }
  void Kill(SimulatedWorker& worker) {
    ++kills_;
    const int slot = worker.name().back() - '0';
    if (worker.connected()) worker.Disconnect(*stage_);
    stage_->run().OnWorkerGone(worker.name(), worker.instance());
    StartWorker(slot);
  }
  // All leases expire, and what follows from that may or may not be written before the leader dies.
  void LoseEverybodyForLong() {
    for (const auto& worker : workers_) {
      if (worker->connected()) worker->Disconnect(*stage_);
    }
    clock_.Advance(61s);
    for (int i = static_cast<int>(random_() % 4); i > 0; --i) {
      stage_->run().Settle();
      Turn(*workers_[random_() % workers_.size()]);
    }
    if (random_() % 2 == 0) Lead();
  }
  // A new leader; the old one dies in the middle of what it was writing.
  void Lead() {
    ++leaders_;
    Calm();  // or it could not take over
    if (stage_) stage_->WriteUnheard(random_() % 3);
    for (const auto& worker : workers_) worker->LeaderGone();
    StageOptions options;
    options.jitter_seed = 1;  // the same seed, the same run
    stage_ = std::make_unique<StageBench>(levers_, clock_, RunKey(), options);
    reconcile::LiveSettings settings;
    settings.records_per_second = 1000;
    stage_->run().Configure(settings);
  }

  std::mt19937 random_;
  fakes::ManualClock clock_;
  fakes::MemoryStore memory_{&clock_};
  fakes::StoreLevers levers_{memory_};
  std::unique_ptr<StageBench> stage_;
  std::vector<std::shared_ptr<SimulatedWorker>> workers_;
  int started_ = 0, kills_ = 0, leaders_ = 0;
};

class StageSimulation : public ::testing::TestWithParam<unsigned> {};

TEST_P(StageSimulation, EveryRecordHasOneOutcomeAndTheFailuresAreThoseThatHappened) {
  SetLogLevel(LogLevel::kError);
  Simulation simulation(GetParam());
  for (int i = 0; i < 600; ++i) {
    if (simulation.Step()) break;
  }
  simulation.Calm();
  // Longest: what was in flight when a leader was replaced stays frozen for 65 s.
  for (int i = 0; i < 800; ++i) simulation.Turn();
  simulation.Check();
  EXPECT_GT(simulation.kills(), 0);
  EXPECT_GT(simulation.leaders(), 1);
}

INSTANTIATE_TEST_SUITE_P(Seeds, StageSimulation, ::testing::Range(1u, 31u));

}  // namespace
}  // namespace backfill::coordinator
