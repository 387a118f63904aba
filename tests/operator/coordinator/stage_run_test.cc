#include "operator/coordinator/stage_run.h"

#include "operator/coordinator/stage_messages.h"
#include "tests/operator/coordinator/stage_bench.h"

namespace backfill::coordinator {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using v1::CoordinatorMessage;

class StageRunTest : public StageTest {};

// ---- what a worker is told first

TEST_F(StageRunTest, WelcomeTellsTheWorkerAllItNeeds) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  ASSERT_THAT(stage.sink.sent[worker], SizeIs(1));
  const CoordinatorMessage& message = stage.sink.sent[worker].front();
  EXPECT_EQ(message.answers(), 1u);
  const v1::Welcome& welcome = message.welcome();
  EXPECT_EQ(welcome.protocol_version(), 1u);
  EXPECT_EQ(welcome.epoch(), stage.epoch().value);
  EXPECT_EQ(welcome.workload().backfill_name(), "reprice");
  EXPECT_EQ(welcome.limits().concurrency(), 16u);
  EXPECT_EQ(welcome.limits().attempts(), 5u);
  EXPECT_EQ(welcome.limits().retry_budget_percent(), 10u);
  EXPECT_EQ(welcome.limits().report_period_ms(), 250u);
  EXPECT_EQ(welcome.fence_ms(), 50'000u);
  EXPECT_EQ(welcome.reconnect_window_ms(), 100u);
  EXPECT_EQ(welcome.max_leases(), 2u);
  EXPECT_FALSE(welcome.paused());
  EXPECT_EQ(stage.run().Snapshot().connected, 1);
  EXPECT_EQ(stage.run().Snapshot().sessions, 1u);
}

TEST_F(StageRunTest, BeforeItIsConfiguredAStageIsPaused) {
  CreateLedger(10, 100);
  StageBench stage(levers_, clock_, RunKey());
  const SessionId worker = stage.Hello("run-0");
  EXPECT_TRUE(stage.sink.sent[worker].front().welcome().paused());
  stage.Progress(worker, 1);
  stage.FinishWrites();
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kLease), 0u);
  stage.run().Configure(Running());
  stage.FinishWrites();
  EXPECT_FALSE(stage.Last(worker, CoordinatorMessage::kPause)->pause().paused());
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kLease), 1u);
}

TEST_F(StageRunTest, LeaseTimesGrowWithTheTargetsTimeout) {
  const lease::LeaseOptions quick = MakeLeaseOptions({}, 5s);
  EXPECT_EQ(quick.ttl, 60s);
  EXPECT_EQ(quick.fence, 50s);
  EXPECT_EQ(quick.wire_time, 10s);
  EXPECT_EQ(quick.recovery_freeze, 65s);
  const lease::LeaseOptions slow = MakeLeaseOptions({}, 120s);
  EXPECT_EQ(slow.wire_time, 125s);
  EXPECT_EQ(slow.ttl, 175s);
  EXPECT_THAT(quick.Validate(), IsEmpty());
  EXPECT_THAT(slow.Validate(), IsEmpty());
}

// ---- nothing is promised before it is durable

TEST_F(StageRunTest, ALeaseIsSentOnlyAfterItIsInTheLedger) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  stage.Progress(worker, 1);
  stage.run().Settle();
  ASSERT_TRUE(stage.writer.held);
  EXPECT_EQ(stage.writer.held->front().durability, kube::Durability::kPower);
  stage.Pass(0s);
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kLease), 0u);
  stage.FinishWrites();
  ASSERT_EQ(stage.Count(worker, CoordinatorMessage::kLease), 1u);
  const v1::Lease lease = stage.Last(worker, CoordinatorMessage::kLease)->lease();
  EXPECT_EQ(Stored(lease.lease().shard()).state, ledger::ShardState::kInFlight);
  EXPECT_EQ(Stored(lease.lease().shard()).attempt, Attempt{lease.lease().attempt()});
}

TEST_F(StageRunTest, AShardsEndIsAcknowledgedOnlyAfterItIsInTheLedger) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  clock_.Advance(1s);
  stage.Done(worker, StageBench::Complete(lease));
  stage.run().Settle();
  EXPECT_FALSE(stage.Acknowledged(worker, lease.lease()));
  EXPECT_FALSE(stage.run().Snapshot().flushed);
  stage.FinishWrites();
  EXPECT_TRUE(stage.Acknowledged(worker, lease.lease()));
  EXPECT_EQ(Stored(lease.lease().shard()).state, ledger::ShardState::kDone);
  EXPECT_TRUE(stage.run().Snapshot().flushed);
}

TEST_F(StageRunTest, FailuresAreWrittenBeforeTheChunkThatCountsThem) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  levers_.ForgetWrites();
  stage.Fail(worker, lease.lease(), lease.begin() + 3);
  stage.Done(worker, StageBench::Complete(lease, 1));
  stage.FinishWrites();
  const auto writes = levers_.WriteLog();
  ASSERT_GE(writes.size(), 2u);
  EXPECT_EQ(writes[0].name, PageName(RunKey(), 0));
  EXPECT_EQ(writes[1].name, ChunkName(RunKey(), 0));
  EXPECT_EQ(ReadFailures(memory_, RunKey())->size(), 1u);
  EXPECT_EQ(stage.run().Snapshot().totals.counts.failed, 1u);
}

TEST_F(StageRunTest, AChunkIsNotWrittenWhileItsFailuresCannotBe) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Fail(worker, lease.lease(), lease.begin());
  stage.Done(worker, StageBench::Complete(lease, 1));
  levers_.ForgetWrites();
  levers_.FailNext(1, kAway);  // the page's
  stage.run().Settle();
  stage.FinishOneBatch();
  EXPECT_EQ(levers_.Writes(), 0);
  EXPECT_NE(Stored(lease.lease().shard()).state, ledger::ShardState::kDone);
  stage.Pass(1s);
  EXPECT_EQ(Stored(lease.lease().shard()).state, ledger::ShardState::kDone);
  EXPECT_TRUE(stage.Acknowledged(worker, lease.lease()));
}

TEST_F(StageRunTest, CursorsAreWrittenTogetherAndNotAtOnce) {
  StageBench& stage = Open(10, 1000);
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Pass(1s);
  const int before = stage.writer.batches;
  for (int i = 1; i <= 20; ++i) {
    stage.Progress(worker, 0, {StageBench::At(lease, i)});
    stage.Pass(50ms);
  }
  EXPECT_LE(stage.writer.batches - before, 5);
  EXPECT_GE(stage.writer.batches - before, 3);
  stage.Pass(500ms);
  EXPECT_EQ(Stored(lease.lease().shard()).cursor, lease.begin() + 20);
}

TEST_F(StageRunTest, CursorsNeedNotSurviveALossOfPower) {
  StageBench& stage = Open(10, 1000);
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Pass(1s);
  stage.Progress(worker, 0, {StageBench::At(lease, 5)});
  clock_.Advance(1s);
  stage.run().Settle();
  ASSERT_TRUE(stage.writer.held);
  EXPECT_EQ(stage.writer.held->front().durability, kube::Durability::kProcess);
}

TEST_F(StageRunTest, OnAClusterWritesThatAreWaitedForAreApart) {
  options_.waited_flush = 200ms;
  StageBench& stage = Open(1000, 10);
  std::vector<SessionId> workers;
  for (int i = 0; i < 20; ++i) workers.push_back(stage.Hello("run-" + std::to_string(i)));
  stage.Pass(1s);
  const int before = stage.writer.batches;
  for (int i = 0; i < 20; ++i) {
    stage.Progress(workers[static_cast<std::size_t>(i)], 2);
    stage.Pass(50ms);
  }
  EXPECT_LE(stage.writer.batches - before, 10);  // 5 that are waited for, 4 of cursors
}

// ---- pause and change

TEST_F(StageRunTest, PauseIsPushedAtOnceAndStopsLeasesAndRates) {
  StageBench& stage = Open();
  const SessionId one = stage.Hello("run-0"), two = stage.Hello("run-1");
  const v1::Lease lease = stage.Lease(one);
  const auto report = [&] {
    for (int i = 0; i < 8; ++i) {
      stage.Progress(one, 0, {StageBench::At(lease, 0)});
      stage.Progress(two, 0);
      stage.Pass(250ms);
    }
  };
  report();
  EXPECT_GT(stage.Last(one, CoordinatorMessage::kGrant)->grant().records_per_second(), 0);
  stage.run().Configure(Paused());
  EXPECT_TRUE(stage.Last(one, CoordinatorMessage::kPause)->pause().paused());
  EXPECT_TRUE(stage.Last(two, CoordinatorMessage::kPause)->pause().paused());
  stage.run().Settle();
  EXPECT_EQ(stage.Last(one, CoordinatorMessage::kGrant)->grant().records_per_second(), 0);
  EXPECT_EQ(stage.Last(two, CoordinatorMessage::kGrant)->grant().records_per_second(), 0);
  stage.Progress(two, 2);
  stage.Pass(5s);
  EXPECT_EQ(stage.Count(two, CoordinatorMessage::kLease), 0u);
  EXPECT_EQ(stage.run().Snapshot().totals.shards_in_flight, 1);
  EXPECT_TRUE(stage.run().Snapshot().flushed);

  stage.run().Configure(Running());
  EXPECT_FALSE(stage.Last(two, CoordinatorMessage::kPause)->pause().paused());
  report();
  stage.Progress(two, 2);
  stage.Pass(250ms);
  EXPECT_EQ(stage.Count(two, CoordinatorMessage::kLease), 2u);
  EXPECT_GT(stage.Last(two, CoordinatorMessage::kGrant)->grant().records_per_second(), 0);
}

TEST_F(StageRunTest, NewLimitsArePushedAndUnchangedOnesAreNot) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  reconcile::LiveSettings settings = Running();
  stage.run().Configure(settings);
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kLimits), 0u);
  settings.concurrency = 4;
  settings.attempts = 2;
  stage.run().Configure(settings);
  ASSERT_EQ(stage.Count(worker, CoordinatorMessage::kLimits), 1u);
  EXPECT_EQ(stage.Last(worker, CoordinatorMessage::kLimits)->limits().concurrency(), 4u);
  EXPECT_EQ(stage.Last(worker, CoordinatorMessage::kLimits)->limits().attempts(), 2u);
}

TEST_F(StageRunTest, ALowerRateIsGrantedAtOnce) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  for (int i = 0; i < 40; ++i) stage.Progress(worker, 0), stage.Pass(250ms);
  EXPECT_NEAR(stage.Last(worker, CoordinatorMessage::kGrant)->grant().records_per_second(), 1000,
              10);
  reconcile::LiveSettings settings = Running();
  settings.records_per_second = 10;
  stage.run().Configure(settings);
  stage.run().Settle();
  EXPECT_NEAR(stage.Last(worker, CoordinatorMessage::kGrant)->grant().records_per_second(), 10,
              0.1);
}

// What the only one of `workers` that has a lease is granted of `rate`.
class OneBusyWorkerTest : public StageTest {
 protected:
  double GrantedToTheBusyOne(int workers, double rate) {
    StageBench& stage = Open(1, 100);
    reconcile::LiveSettings settings = Running();
    settings.records_per_second = rate;
    stage.run().Configure(settings);
    std::vector<SessionId> idle;
    for (int i = 1; i < workers; ++i) idle.push_back(stage.Hello("run-" + std::to_string(i)));
    const SessionId busy = stage.Hello("run-0");
    const v1::Lease lease = stage.Lease(busy);
    for (int i = 0; i < 8; ++i) {
      stage.Progress(busy, 1, {StageBench::At(lease, 0)});
      for (const SessionId session : idle) stage.Idle(session);
      stage.Pass(250ms);
    }
    return stage.Last(busy, CoordinatorMessage::kGrant)->grant().records_per_second();
  }
};

TEST_F(OneBusyWorkerTest, OfTwoItGetsNearlyAll) { EXPECT_GE(GrantedToTheBusyOne(2, 10), 9.5); }

TEST_F(OneBusyWorkerTest, OfMoreThanTheRateFeedsItGetsAll) {
  EXPECT_GE(GrantedToTheBusyOne(8, 1), 0.99);
}

TEST_F(StageRunTest, TheReportPeriodKeepsTheFleetAtFiveHundredMessagesASecond) {
  StageBench& stage = Open();
  const SessionId first = stage.Hello("run-0");
  for (int i = 1; i < 1000; ++i) stage.Hello("run-" + std::to_string(i));
  stage.run().Settle();
  EXPECT_EQ(stage.Last(first, CoordinatorMessage::kLimits)->limits().report_period_ms(), 2000u);
  for (int i = 1; i < 1000; ++i) stage.Disconnect({static_cast<std::uint64_t>(i + 1)});
  stage.run().Settle();
  EXPECT_EQ(stage.Last(first, CoordinatorMessage::kLimits)->limits().report_period_ms(), 250u);
  EXPECT_EQ(stage.Count(first, CoordinatorMessage::kLimits), 2u);
}

// ---- hostile and odd messages

TEST_F(StageRunTest, AMessageOfAnUnknownKindIsASignOfLife) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  stage.Say(worker, v1::WorkerMessage());
  EXPECT_EQ(stage.Last(worker, CoordinatorMessage::kAck)->answers(), 2u);
  EXPECT_TRUE(stage.sink.closed.empty());
}

TEST_F(StageRunTest, MessagesBeyondTheirBoundsEndTheStream) {
  StageBench& stage = Open();
  std::vector<v1::WorkerMessage> messages(5);
  for (int i = 0; i <= lease::kMaxReports; ++i) {
    messages[0].mutable_progress()->add_leases();
    messages[1].mutable_draining()->add_leases();
  }
  for (int i = 0; i <= kMaxFailures; ++i) messages[2].mutable_record_failures()->add_failures();
  for (int i = 0; i <= kMaxSamples; ++i) messages[3].mutable_dry_run_samples()->add_samples();
  messages[4].mutable_progress()->add_leases()->mutable_lease()->set_shard(-5);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const SessionId worker = stage.Hello("run-" + std::to_string(i));
    stage.Say(worker, messages[i]);
    EXPECT_TRUE(stage.sink.closed.contains(worker)) << i;
  }
  for (const std::string& name : {std::string(), std::string(101, 'x')}) {
    EXPECT_EQ(stage.sink.closed.at(stage.Hello(name)).code, ErrorCode::kInvalid);
    EXPECT_EQ(stage.sink.closed.at(stage.Hello("run-0", name)).code, ErrorCode::kInvalid);
  }
  EXPECT_EQ(stage.run().Snapshot().connected, 0);
}

TEST_F(StageRunTest, AWorkerMayComeBackWithAllThatItMayHold) {
  constexpr int kShards = 64 + 64;  // open, and done but not acknowledged
  options_.max_leases = 64;
  StageBench& before = Open(kShards, 100);
  const SessionId first = before.Hello("run-0");
  std::vector<v1::LeaseProgress> held;
  while (held.size() < kShards) {
    const v1::Lease lease = before.Lease(first);
    held.push_back(StageBench::At(lease, 1));
    if (held.size() <= 64) before.Done(first, held.back() = StageBench::Complete(lease));
  }
  StageBench& after = Reopen();
  const SessionId back = after.Hello("run-0", "i", held);
  EXPECT_FALSE(after.sink.closed.contains(back));
  EXPECT_EQ(after.sink.sent[back].front().welcome().kept_size(), 64);
}

TEST_F(StageRunTest, TheLongestNamesFitIntoTheLedger) {
  StageBench& stage = Open();
  const std::string name(lease::kMaxName, 'n');
  const SessionId worker = stage.Hello(name, name);
  const v1::Lease lease = stage.Lease(worker);
  stage.Pass(1s);
  EXPECT_EQ(Stored(lease.lease().shard()).holder, name + "/" + name);
}

TEST_F(StageRunTest, AWrongEpochIsRevokedAndCountsForNothing) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  v1::Lease lease = stage.Lease(worker);
  lease.mutable_lease()->set_epoch(stage.epoch().value + 5);
  stage.Progress(worker, 0, {StageBench::At(lease, 10)});
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kRevoke), 1u);
  EXPECT_EQ(stage.run().Snapshot().totals.counts.total(), 0u);
}

TEST_F(StageRunTest, FailuresAreTakenFromTheHolderAndInsideItsShardOnly) {
  StageBench& stage = Open();
  const SessionId holder = stage.Hello("run-0"), other = stage.Hello("run-1");
  const v1::Lease lease = stage.Lease(holder);
  stage.Fail(other, lease.lease(), lease.begin());
  stage.Fail(holder, lease.lease(), lease.end());
  stage.Fail(holder, lease.lease(), -1);
  v1::LeaseRef wrong = lease.lease();
  wrong.set_attempt(wrong.attempt() + 1);
  stage.Fail(holder, wrong, lease.begin());
  wrong = lease.lease();
  wrong.set_epoch(wrong.epoch() + 1);
  stage.Fail(holder, wrong, lease.begin());
  wrong.set_shard(-1);
  stage.Fail(holder, wrong, lease.begin());
  stage.Pass(1s);
  EXPECT_THAT(*ReadFailures(memory_, RunKey()), IsEmpty());
  EXPECT_TRUE(stage.sink.closed.empty());
}

TEST_F(StageRunTest, ASessionThatWasDroppedIsNotHeardAnyMore) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  stage.Disconnect(worker);
  stage.Progress(worker, 1);
  stage.Disconnect(worker);
  EXPECT_EQ(stage.run().Snapshot().connected, 0);
  EXPECT_TRUE(stage.sink.closed.empty());
}

// ---- figures

TEST_F(StageRunTest, AttemptsAreMeasuredOverAllWorkersFromTheirFirstReport) {
  StageBench& stage = Open();
  const SessionId one = stage.Hello("run-0"), two = stage.Hello("run-1");
  std::uint64_t attempts = 1'000'000;  // sent under an earlier leader
  for (int i = 0; i < 40; ++i) {
    stage.Progress(one, 0, {}, attempts);
    stage.Progress(two, 0, {}, 2 * attempts);
    attempts += 25;
    stage.Pass(250ms);
  }
  EXPECT_NEAR(stage.run().Snapshot().attempts_per_second, 300, 20);
  EXPECT_FALSE(stage.run().Snapshot().target_holds_back);
}

TEST_F(StageRunTest, WhenTheRetryBudgetIsUsedUpTheTargetHoldsBack) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  for (std::uint64_t i = 0; i < 20; ++i) {
    stage.Progress(worker, 0, {}, i * 110, i * 10);
    stage.Pass(250ms);
  }
  EXPECT_TRUE(stage.run().Snapshot().target_holds_back);
  stage.Pass(6s);
  EXPECT_FALSE(stage.run().Snapshot().target_holds_back);
}

// ---- a target that asks to be left alone

class RetryAfterTest : public StageTest {
 protected:
  void Start(const reconcile::LiveSettings& settings) {
    StageBench& stage = Open();
    stage.run().Configure(settings);
    one = stage.Hello("run-0");
    two = stage.Hello("run-1");
    Report(2s);
  }
  void Report(Duration time) {
    for (Duration passed{}; passed < time; passed += 250ms) {
      bench_->Progress(one, 0);
      bench_->Progress(two, 0);
      bench_->Pass(250ms);
    }
  }
  double Rate(SessionId session) {
    return bench_->Last(session, CoordinatorMessage::kGrant)->grant().records_per_second();
  }
  bool ShownAsHeld() { return bench_->run().Snapshot().target_holds_back; }
  SessionId one, two;
};

TEST_F(RetryAfterTest, OfOneWorkerHoldsAllForThatLong) {
  Start(Running());
  EXPECT_GT(Rate(two), 400);
  EXPECT_FALSE(ShownAsHeld());
  bench_->HoldBack(one, 10s);
  bench_->run().Settle();
  EXPECT_EQ(Rate(one), 0);
  EXPECT_EQ(Rate(two), 0);
  EXPECT_TRUE(ShownAsHeld());
  EXPECT_EQ(bench_->run().Snapshot().allowed, Running().records_per_second) << "it ends by itself";
  reconcile::LiveSettings faster = Running();
  faster.records_per_second = 2000;
  bench_->run().Configure(faster);  // changes nothing of that
  bench_->HoldBack(two, 1s);        // nor does a shorter one
  Report(9s);
  EXPECT_EQ(Rate(two), 0);
  Report(3s);
  EXPECT_GT(Rate(one) + Rate(two), 1900);
  EXPECT_FALSE(ShownAsHeld());
}

TEST_F(RetryAfterTest, HoldsForFiveMinutesAtMost) {
  Start(Running());
  bench_->HoldBack(one, 24h);
  Report(299s);
  EXPECT_EQ(Rate(two), 0);
  Report(3s);
  EXPECT_GT(Rate(two), 400);
}

TEST_F(RetryAfterTest, DoesNotEndAPause) {
  Start(Running());
  bench_->HoldBack(one, 2s);
  bench_->run().Configure(Paused());
  EXPECT_EQ(bench_->run().Snapshot().allowed, 0);
  Report(4s);
  EXPECT_EQ(Rate(one), 0);
  EXPECT_EQ(Rate(two), 0);
}

TEST_F(RetryAfterTest, HoldsNothingWhereNothingIsSent) {
  reconcile::LiveSettings settings;
  settings.unlimited = true;
  Start(settings);
  bench_->HoldBack(one, 10s);
  bench_->run().Settle();
  EXPECT_GT(Rate(two), 0);
  EXPECT_FALSE(ShownAsHeld());
}

TEST_F(StageRunTest, SamplesOfUnknownShardsAreDropped) {
  CreateLedger(10, 100, DryRunKey());
  StageBench stage(levers_, clock_, DryRunKey());
  const SessionId worker = stage.Hello("dry-run-0");
  v1::WorkerMessage message;
  for (const int shard : {3, -7, 10, 2'000'000'000}) {
    v1::DryRunSample& sample = *message.mutable_dry_run_samples()->add_samples();
    sample.set_shard(shard);
    sample.set_key(std::to_string(shard));
    sample.set_request("POST /");
  }
  stage.Say(worker, message);
  ASSERT_THAT(stage.run().Samples(), SizeIs(1));
  EXPECT_EQ(stage.run().Samples()[0].key, "3");
  EXPECT_EQ(stage.run().Samples()[0].request, "POST /");
}

// ---- a dry run

TEST_F(StageRunTest, AWholeDryRunLeavesTheRunsLedgerUntouched) {
  CreateLedger(700, 1, RunKey());
  CreateLedger(700, 1, DryRunKey());
  const auto versions = [&] {
    std::map<std::string, std::string> out;
    for (int chunk : {0, 1}) {
      const auto object = memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), chunk)});
      out[object->ref.name] = object->resource_version;
    }
    return out;
  };
  const auto before = versions();
  StageBench stage(levers_, clock_, DryRunKey());
  reconcile::LiveSettings settings;
  settings.unlimited = true;
  stage.run().Configure(settings);
  const SessionId worker = stage.Hello("dry-run-0");
  stage.run().Settle();
  EXPECT_EQ(stage.Last(worker, CoordinatorMessage::kGrant)->grant().records_per_second(), 1e9);
  for (int i = 0; i < 700; ++i) stage.Done(worker, StageBench::Complete(stage.Lease(worker)));
  stage.FinishWrites();
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kNoMoreWork), 1u);
  EXPECT_EQ(stage.run().Snapshot().totals.counts.total(), 700u);
  EXPECT_EQ(versions(), before);
  for (const kube::ObjectRef& ref : levers_.WriteLog()) {
    EXPECT_THAT(ref.name, ::testing::ContainsRegex("-[de][0-9]+$"));
  }
}

// ---- the end

TEST_F(StageRunTest, NoMoreWorkComesAfterTheLastShardIsDurable) {
  StageBench& stage = Open(1, 10);
  const SessionId worker = stage.Hello("run-0"), idle = stage.Hello("run-1");
  const v1::Lease lease = stage.Lease(worker);
  stage.Done(worker, StageBench::Complete(lease));
  stage.run().Settle();
  EXPECT_EQ(stage.Count(idle, CoordinatorMessage::kNoMoreWork), 0u);
  stage.FinishWrites();
  EXPECT_EQ(stage.Count(idle, CoordinatorMessage::kNoMoreWork), 1u);
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kNoMoreWork), 1u);
}

TEST_F(StageRunTest, ClosingEndsStreamsAndWritesEverythingThroughToTheDisk) {
  StageBench& stage = Open(10, 1000);
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Pass(1s);
  stage.Fail(worker, lease.lease(), lease.begin());
  stage.Progress(worker, 0, {StageBench::At(lease, 500, 1)});
  stage.run().BeginClose();
  EXPECT_EQ(stage.sink.closed.at(worker).code, ErrorCode::kUnavailable);
  EXPECT_FALSE(stage.run().closed());
  stage.run().Settle();
  ASSERT_TRUE(stage.writer.held);
  for (const LedgerWrite& write : *stage.writer.held) {
    EXPECT_EQ(write.durability, kube::Durability::kPower);
  }
  stage.FinishWrites();
  EXPECT_TRUE(stage.run().closed());
  EXPECT_EQ(Stored(lease.lease().shard()).cursor, lease.begin() + 500);
  EXPECT_EQ(ReadFailures(memory_, RunKey())->size(), 1u);
  EXPECT_EQ(stage.sink.closed.at(stage.Hello("run-1")).code, ErrorCode::kUnavailable);
}

TEST_F(StageRunTest, ClosingWaitsForTheStore) {
  StageBench& stage = Open(10, 1000);
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Progress(worker, 0, {StageBench::At(lease, 500)});
  levers_.FailNext(1'000'000, kAway);
  stage.run().BeginClose();
  stage.Pass(10s);
  EXPECT_FALSE(stage.run().closed());
  EXPECT_FALSE(stage.run().Snapshot().flushed);
  levers_.FailNext(0, kAway);
  stage.Pass(6s);
  EXPECT_TRUE(stage.run().closed());
  EXPECT_TRUE(stage.run().Snapshot().flushed);
}

TEST_F(StageRunTest, AStageThatLostItsLedgerClosesAtOnce) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  stage.Lease(worker);
  LedgerStore usurper(memory_, RunKey());
  ASSERT_TRUE(TakeOver(usurper).ok());
  stage.run().BeginClose();
  stage.FinishWrites();
  EXPECT_TRUE(stage.run().closed());
}

}  // namespace
}  // namespace backfill::coordinator
