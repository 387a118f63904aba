#include "operator/coordinator/coordinator.h"

#include "tests/operator/coordinator/worker_client.h"

#include <atomic>
#include <filesystem>

#include "operator/coordinator/ledger_object.h"
#include "operator/coordinator/ledger_store.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/store_levers.h"
#include "tests/operator/coordinator/plans.h"
#include "tests/operator/kube/runtime/recorded_metrics.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using v1::CoordinatorMessage;

constexpr char kToken[] = "correct-horse";

api::Backfill Backfill() {
  api::Backfill b;
  b.name = RunKey().name, b.ns = RunKey().ns, b.uid = RunKey().uid;
  b.spec.source = api::RangeSource{.start = 0, .end = 1000};
  b.spec.target.url = "http://orders/{{key}}";
  return b;
}

reconcile::LiveSettings Running() {
  reconcile::LiveSettings settings;
  settings.records_per_second = 1000;
  return settings;
}

class CoordinatorTest : public ::testing::Test {
 protected:
  CoordinatorTest() {
    char directory[] = "/tmp/backfill-coordinator-XXXXXX";
    directory_ = mkdtemp(directory);
  }
  ~CoordinatorTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Coordinator> Start(const CoordinatorOptions& base = {}) {
    CoordinatorOptions options = base;
    options.server.token = kToken;
    options.server.unix_socket = directory_ + "/" + std::to_string(started_++) + "/c.sock";
    auto coordinator = std::make_unique<Coordinator>(levers_, clock_, leadership_, options);
    const Status started = coordinator->Start();
    EXPECT_TRUE(started.ok()) << started.error().message;
    return coordinator;
  }
  // With a stage that runs.
  std::unique_ptr<Coordinator> StartRunning(const CoordinatorOptions& options = {}) {
    auto coordinator = Start(options);
    EXPECT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(10, 100)).ok());
    EXPECT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
    coordinator->Configure(RunKey(), Running());
    return coordinator;
  }
  // Works on one shard to its end. False: the stream ended before.
  static bool DoOneShard(WorkerClient& worker) {
    CoordinatorMessage message;
    if (!worker.Progress(1) || !worker.ReadUntil(CoordinatorMessage::kLease, &message))
      return false;
    const v1::Lease lease = message.lease();
    v1::WorkerMessage done;
    v1::LeaseProgress& progress = *done.mutable_shard_done()->mutable_lease();
    *progress.mutable_lease() = lease.lease();
    progress.set_end(lease.end());
    progress.set_cursor(lease.end());
    progress.mutable_counts()->set_updated(static_cast<std::uint64_t>(lease.end() - lease.begin()));
    if (!worker.Send(done)) return false;
    while (worker.ReadUntil(CoordinatorMessage::kAck, &message)) {
      if (message.ack().done_size() > 0) return true;
    }
    return false;
  }

  std::string directory_;
  int started_ = 0;
  SystemClock clock_;
  SoleLeader leadership_;
  fakes::MemoryStore memory_;
  fakes::StoreLevers levers_{memory_};
};

TEST_F(CoordinatorTest, AWorkerDoesAWholeStage) {
  const auto coordinator = StartRunning();
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(CoordinatorMessage::kWelcome, &message));
  EXPECT_EQ(message.welcome().workload().run_http().request().url(), "http://orders/{{key}}");
  EXPECT_FALSE(message.welcome().paused());
  ASSERT_TRUE(worker.ReadUntil(CoordinatorMessage::kGrant, &message));
  EXPECT_GT(message.grant().records_per_second(), 0);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(DoOneShard(worker)) << i;
  ASSERT_TRUE(worker.ReadUntil(CoordinatorMessage::kNoMoreWork, &message));
  const auto snapshot = coordinator->Snapshot(RunKey());
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->totals.counts.updated, 1000u);
  EXPECT_EQ(snapshot->connected, 1);
  EXPECT_TRUE(snapshot->flushed);
  EXPECT_FALSE(snapshot->error);
  ASSERT_TRUE(coordinator->Close(RunKey()).ok());
  EXPECT_EQ(worker.Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_FALSE(coordinator->Snapshot(RunKey()));
  EXPECT_EQ(coordinator->ReadLedger(RunKey())->totals.shards_done, 10);
}

TEST_F(CoordinatorTest, WorkersOfAStageThatIsNotOpenAreToldToComeBack) {
  CoordinatorOptions options;
  options.hello_patience = 50ms;
  const auto coordinator = StartRunning(options);
  for (const auto& [uid, stage] : std::vector<std::pair<std::string, std::string>>{
           {"another", "run"}, {RunKey().uid, "dry-run"}, {RunKey().uid, "nonsense"}, {"", ""}}) {
    WorkerClient worker(coordinator->address(), kToken);
    ASSERT_TRUE(worker.Hello(uid, stage, "run-0"));
    EXPECT_EQ(worker.Finish().error_code(), StatusCode::UNAVAILABLE);
  }
}

// A new leader is found by workers before it has taken up their ledger.
TEST_F(CoordinatorTest, AWorkerThatComesBeforeItsStageIsOpenIsServedOnceItIs) {
  const auto coordinator = Start();
  ASSERT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(10, 100)).ok());
  WorkerClient worker(coordinator->address(), kToken), other(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  ASSERT_TRUE(other.Hello(RunKey().uid, "run", "run-1"));
  ASSERT_TRUE(Eventually([&] { return coordinator->counts().streams == 2; }));
  ASSERT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
  coordinator->Configure(RunKey(), Running());
  CoordinatorMessage message;
  EXPECT_TRUE(other.ReadUntil(CoordinatorMessage::kWelcome, &message));
  EXPECT_TRUE(worker.ReadUntil(CoordinatorMessage::kWelcome, &message));
  EXPECT_TRUE(DoOneShard(worker));
}

TEST_F(CoordinatorTest, WhoWaitsForAStageIsSentOnOnceAnotherLeads) {
  struct Lead final : Leadership {
    [[nodiscard]] bool Valid(Time) const override { return valid; }
    std::atomic<bool> valid{true};
  } lead;
  CoordinatorOptions options;
  options.hello_patience = 1h;
  options.server.token = kToken;
  options.server.unix_socket = directory_ + "/lead/c.sock";
  Coordinator coordinator(levers_, clock_, lead, options);
  ASSERT_TRUE(coordinator.Start().ok());
  WorkerClient worker(coordinator.address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  ASSERT_TRUE(Eventually([&] { return coordinator.counts().streams == 1; }));
  lead.valid = false;
  EXPECT_EQ(worker.Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(CoordinatorTest, AStageNeedsALedger) {
  const auto coordinator = Start();
  EXPECT_EQ(coordinator->ReadLedger(RunKey()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(coordinator->Open(Backfill(), RunKey()).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(coordinator->Snapshot(RunKey()));
  EXPECT_TRUE(coordinator->Close(RunKey()).ok());
  EXPECT_TRUE(coordinator->Samples(RunKey()).empty());
  coordinator->Configure(RunKey(), Running());
  coordinator->WorkerGone(RunKey(), "run-0", "i");
}

TEST_F(CoordinatorTest, ALedgerOfTheSamePlanIsKeptAndAnotherReplacedUntilWorkHasBegun) {
  auto coordinator = Start();
  ASSERT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(700, 10)).ok());
  const auto version =
      memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), 0)})->resource_version;
  ASSERT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(700, 10)).ok());
  EXPECT_EQ(memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), 0)})->resource_version,
            version);
  ASSERT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(10, 100)).ok());
  EXPECT_EQ(coordinator->ReadLedger(RunKey())->plan_hash, PlanOf(10, 100).hash);
  EXPECT_EQ(memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), 1)}).error().code,
            ErrorCode::kNotFound);

  ASSERT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
  coordinator->Configure(RunKey(), Running());
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  ASSERT_TRUE(DoOneShard(worker));
  ASSERT_TRUE(coordinator->Close(RunKey()).ok());
  EXPECT_EQ(coordinator->CreateLedger(RunKey(), PlanOf(700, 10)).error().code,
            ErrorCode::kConflict);
  EXPECT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(10, 100)).ok());
}

TEST_F(CoordinatorTest, OpeningTwiceChangesNothing) {
  const auto coordinator = StartRunning();
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  ASSERT_TRUE(DoOneShard(worker));
  EXPECT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
  EXPECT_TRUE(DoOneShard(worker));
}

TEST_F(CoordinatorTest, ReopenedItGoesOnWhereItWas) {
  const auto coordinator = StartRunning();
  {
    WorkerClient worker(coordinator->address(), kToken);
    ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
    ASSERT_TRUE(DoOneShard(worker));
  }
  ASSERT_TRUE(coordinator->Close(RunKey()).ok());
  ASSERT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
  coordinator->Configure(RunKey(), Running());
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0", "second"));
  ASSERT_TRUE(DoOneShard(worker));
  EXPECT_EQ(coordinator->Snapshot(RunKey())->totals.shards_done, 2);
}

// A shard that a worker holds when the stage is closed: how long its successor waits.
TEST_F(CoordinatorTest, OwnWorkersAreTakenForGoneOnlyWhenThatIsKnown) {
  CoordinatorOptions options;
  options.predecessors_proven_gone = [](const reconcile::StageKey&) { return true; };
  const auto coordinator = StartRunning(options);
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0", "alive"));
  CoordinatorMessage message;
  ASSERT_TRUE(worker.Progress(1));
  ASSERT_TRUE(worker.ReadUntil(CoordinatorMessage::kLease, &message));
  ASSERT_TRUE(coordinator->Close(RunKey()).ok());
  ASSERT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
  EXPECT_GT(*coordinator->Snapshot(RunKey())->frozen_for, 30s);
  ASSERT_TRUE(coordinator->Close(RunKey()).ok());
  coordinator->WorkerGone(RunKey(), "run-0", "alive");
  ASSERT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
  EXPECT_LT(*coordinator->Snapshot(RunKey())->frozen_for, 30s);
}

TEST_F(CoordinatorTest, PauseReachesWorkersAtOnce) {
  const auto coordinator = StartRunning();
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(CoordinatorMessage::kWelcome, &message));
  reconcile::LiveSettings paused = Running();
  paused.paused = true;
  coordinator->Configure(RunKey(), paused);
  ASSERT_TRUE(worker.ReadUntil(CoordinatorMessage::kPause, &message));
  EXPECT_TRUE(message.pause().paused());
}

TEST_F(CoordinatorTest, TheLoopAnswersWhileTheStoreHangs) {
  CoordinatorOptions options;
  options.close_timeout = 200ms;
  const auto coordinator = StartRunning(options);
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  ASSERT_TRUE(DoOneShard(worker));
  ASSERT_TRUE(Eventually([&] { return coordinator->Snapshot(RunKey())->flushed; }));
  levers_.Cork();
  ASSERT_TRUE(worker.Progress(2));
  ASSERT_TRUE(levers_.AwaitWaiting(1));
  const auto begin = std::chrono::steady_clock::now();
  const auto snapshot = coordinator->Snapshot(RunKey());
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE(snapshot->flushed);
  EXPECT_EQ(coordinator->Close(RunKey()).error().code, ErrorCode::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  EXPECT_FALSE(coordinator->Snapshot(RunKey()));  // closed all the same
  levers_.Uncork();
  EXPECT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
}

TEST_F(CoordinatorTest, WhenTheStoreIsAwayTheStageSaysSoAndRecovers) {
  const auto coordinator = StartRunning();
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  ASSERT_TRUE(DoOneShard(worker));
  levers_.FailNext(5, {ErrorCode::kUnavailable, "disk full"});
  std::thread other([&] {
    EXPECT_TRUE(Eventually([&] {
      const auto snapshot = coordinator->Snapshot(RunKey());
      return snapshot && snapshot->error && snapshot->error->code == ErrorCode::kUnavailable;
    }));
  });
  EXPECT_TRUE(DoOneShard(worker));
  EXPECT_TRUE(DoOneShard(worker));
  other.join();
  EXPECT_TRUE(Eventually([&] { return !coordinator->Snapshot(RunKey())->error; }));
}

TEST_F(CoordinatorTest, OfTwoOverOneStoreTheOlderStops) {
  const auto older = StartRunning();
  WorkerClient worker(older->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0"));
  ASSERT_TRUE(DoOneShard(worker));

  const auto newer = Start();
  ASSERT_TRUE(newer->Open(Backfill(), RunKey()).ok());
  newer->Configure(RunKey(), Running());

  EXPECT_FALSE(DoOneShard(worker) && DoOneShard(worker) && DoOneShard(worker));
  EXPECT_EQ(worker.Finish().error_code(), StatusCode::UNAVAILABLE);
  const auto snapshot = older->Snapshot(RunKey());
  ASSERT_TRUE(snapshot && snapshot->error);
  EXPECT_EQ(snapshot->error->code, ErrorCode::kConflict);
  EXPECT_EQ(older->Close(RunKey()).error().code, ErrorCode::kConflict);

  WorkerClient again(newer->address(), kToken);
  ASSERT_TRUE(again.Hello(RunKey().uid, "run", "run-0"));
  EXPECT_TRUE(DoOneShard(again));
  EXPECT_FALSE(newer->Snapshot(RunKey())->error);
  const auto object = memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), 0)});
  EXPECT_EQ(DecodeContent(object->content)->epoch, Epoch{2});
}

TEST_F(CoordinatorTest, ADamagedLedgerIsNotOpenedAndNotReplaced) {
  const auto coordinator = Start();
  ASSERT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(10, 100)).ok());
  kube::Object object = memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), 0)}).value();
  object.content = R"({"epoch":1,"seq":1,"chunks":1,"writer":"x","data":"AAAA"})";
  ASSERT_TRUE(memory_.Update(object, kube::Durability::kPower).ok());
  EXPECT_EQ(coordinator->Open(Backfill(), RunKey()).error().code, ErrorCode::kInternal);
  EXPECT_EQ(coordinator->ReadLedger(RunKey()).error().code, ErrorCode::kInternal);
  EXPECT_EQ(coordinator->CreateLedger(RunKey(), PlanOf(10, 100)).error().code,
            ErrorCode::kInternal);
  EXPECT_EQ(memory_.Get(object.ref)->content, object.content);
}

TEST_F(CoordinatorTest, FiftyWorkersShareAStage) {
  const auto coordinator = Start();
  ASSERT_TRUE(coordinator->CreateLedger(RunKey(), PlanOf(2000, 10)).ok());
  ASSERT_TRUE(coordinator->Open(Backfill(), RunKey()).ok());
  coordinator->Configure(RunKey(), Running());
  std::atomic<int> done{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < 50; ++i) {
    workers.emplace_back([&, i] {
      WorkerClient worker(coordinator->address(), kToken);
      if (!worker.Hello(RunKey().uid, "run", "run-" + std::to_string(i), "i" + std::to_string(i)))
        return;
      for (int k = 0; k < 10; ++k) done += DoOneShard(worker) ? 1 : 0;
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(done, 500);
  EXPECT_EQ(coordinator->Snapshot(RunKey())->totals.shards_done, 500);
  EXPECT_TRUE(Eventually([&] { return coordinator->Snapshot(RunKey())->connected == 0; }));
  ASSERT_TRUE(coordinator->Close(RunKey()).ok());
  EXPECT_EQ(coordinator->ReadLedger(RunKey())->totals.shards_done, 500);
}

TEST_F(CoordinatorTest, WhatIsServedIsCounted) {
  kube::RecordedMetrics counted;
  CoordinatorOptions options;
  options.metrics = &counted;
  const auto coordinator = StartRunning(options);
  WorkerClient worker(coordinator->address(), kToken);
  ASSERT_TRUE(worker.Hello(RunKey().uid, "run", "run-0", "i"));
  ASSERT_TRUE(DoOneShard(worker));
  EXPECT_EQ(counted.Value("backfill_grant_seconds"), 1);
  EXPECT_EQ(counted.Value("backfill_rpc_seconds{method=hello}"), 1);
  EXPECT_EQ(counted.Value("backfill_rpc_seconds{method=shard_done}"), 1);
  EXPECT_GE(counted.Value("backfill_ledger_writes_total{result=written}"), 2);
  EXPECT_EQ(counted.Value("backfill_ledger_conflicts_total"), 0);
}

TEST_F(CoordinatorTest, StoppedItAnswersNobody) {
  const auto coordinator = StartRunning();
  coordinator->Stop();
  coordinator->Stop();
  EXPECT_FALSE(coordinator->Snapshot(RunKey()));
  EXPECT_EQ(coordinator->Close(RunKey()).error().code, ErrorCode::kAborted);
  EXPECT_EQ(coordinator->Open(Backfill(), RunKey()).error().code, ErrorCode::kAborted);
}

}  // namespace
}  // namespace backfill::coordinator
