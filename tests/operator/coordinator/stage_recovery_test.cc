#include "operator/coordinator/stage_run.h"
#include "tests/operator/coordinator/stage_bench.h"

// What becomes of a stage when the store, the leadership, workers or leaders go away, and come
// back.
namespace backfill::coordinator {
namespace {

using ::testing::IsEmpty;
using v1::CoordinatorMessage;

class StageRecoveryTest : public StageTest {};

// ---- the store is away, or another leader is there

TEST_F(StageRecoveryTest, WhileTheStoreIsAwayNothingIsAcknowledgedAndThenAllIs) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  levers_.FailNext(1'000'000, kAway);
  stage.Done(worker, StageBench::Complete(lease));
  const int before = stage.writer.batches;
  stage.Pass(20s);
  EXPECT_FALSE(stage.Acknowledged(worker, lease.lease()));
  ASSERT_TRUE(stage.run().Snapshot().error);
  EXPECT_EQ(stage.run().Snapshot().error->code, ErrorCode::kUnavailable);
  EXPECT_THAT(stage.run().Snapshot().error->message, ::testing::HasSubstr("disk full"));
  EXPECT_LE(stage.writer.batches - before, 20);  // with back-off
  EXPECT_GE(stage.writer.batches - before, 5);
  levers_.FailNext(0, kAway);
  stage.Pass(6s);
  EXPECT_TRUE(stage.Acknowledged(worker, lease.lease()));
  EXPECT_FALSE(stage.run().Snapshot().error);
  EXPECT_TRUE(stage.sink.closed.empty());
}

TEST_F(StageRecoveryTest, AWriteWhoseAnswerWasLostDoesNoHarm) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  levers_.FailAfterApply(3, kAway);
  stage.Done(worker, StageBench::Complete(lease));
  stage.Pass(5s);
  EXPECT_TRUE(stage.Acknowledged(worker, lease.lease()));
  EXPECT_FALSE(stage.run().Snapshot().error);
}

TEST_F(StageRecoveryTest, AConflictEndsTheStageAndNothingIsAcknowledged) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0"), other = stage.Hello("run-1");
  const v1::Lease lease = stage.Lease(worker);
  LedgerStore usurper(memory_, RunKey());
  ASSERT_TRUE(TakeOver(usurper).ok());

  stage.Done(worker, StageBench::Complete(lease));
  stage.FinishWrites();
  EXPECT_FALSE(stage.Acknowledged(worker, lease.lease()));
  ASSERT_TRUE(stage.run().Snapshot().error);
  EXPECT_EQ(stage.run().Snapshot().error->code, ErrorCode::kConflict);
  EXPECT_EQ(stage.sink.closed.at(worker).code, ErrorCode::kUnavailable);
  EXPECT_EQ(stage.sink.closed.at(other).code, ErrorCode::kUnavailable);
  EXPECT_FALSE(stage.run().Snapshot().flushed);

  const SessionId late =
      stage.Hello("run-2");  // is sent away; the sink checks that nothing else leaves
  EXPECT_THAT(stage.sink.sent[late], IsEmpty());
  const int before = stage.writer.batches;
  stage.Pass(120s);
  EXPECT_EQ(stage.writer.batches, before);
}

TEST_F(StageRecoveryTest, ADamagedLedgerEndsTheStageAndIsNotOverwritten) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  kube::Object object = memory_.Get({"BackfillLedger", "shop", ChunkName(RunKey(), 0)}).value();
  object.content = "{\"broken\":1}";
  ASSERT_TRUE(memory_.Update(object, kube::Durability::kPower).ok());
  stage.Done(worker, StageBench::Complete(lease));
  stage.FinishWrites();
  ASSERT_TRUE(stage.run().Snapshot().error);
  EXPECT_EQ(stage.run().Snapshot().error->code, ErrorCode::kInternal);
  EXPECT_EQ(memory_.Get(object.ref)->content, "{\"broken\":1}");
}

// ---- leadership

TEST_F(StageRecoveryTest, WhileLeadershipIsInDoubtNothingLeaves) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Done(worker, StageBench::Complete(lease));
  stage.run().Settle();
  stage.leadership.valid = false;
  const std::size_t before = stage.sink.sent[worker].size();
  stage.Pass(10s);  // the write is confirmed meanwhile
  stage.run().Configure(Paused());
  stage.Pass(1s);
  EXPECT_EQ(stage.sink.sent[worker].size(), before);
  EXPECT_FALSE(stage.Acknowledged(worker, lease.lease()));
  stage.leadership.valid = true;
  stage.Pass(100ms);
  EXPECT_TRUE(stage.Acknowledged(worker, lease.lease()));
}

TEST_F(StageRecoveryTest, WhatChangesWhileLeadershipIsInDoubtIsToldOnceItIsCertain) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  stage.leadership.valid = false;
  reconcile::LiveSettings settings = Paused();
  settings.concurrency = 4;
  stage.run().Configure(settings);
  stage.Pass(1s);
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kPause), 0u);
  stage.leadership.valid = true;
  stage.Pass(1s);
  ASSERT_EQ(stage.Count(worker, CoordinatorMessage::kPause), 1u);
  EXPECT_TRUE(stage.Last(worker, CoordinatorMessage::kPause)->pause().paused());
  ASSERT_EQ(stage.Count(worker, CoordinatorMessage::kLimits), 1u);
  EXPECT_EQ(stage.Last(worker, CoordinatorMessage::kLimits)->limits().concurrency(), 4u);
}

TEST_F(StageRecoveryTest, AMessageWhileLeadershipIsInDoubtIsNotAcceptedAndItsStreamEnds) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.leadership.valid = false;
  stage.Done(worker, StageBench::Complete(lease));
  EXPECT_EQ(stage.sink.closed.at(worker).code, ErrorCode::kUnavailable);
  EXPECT_EQ(stage.run().Snapshot().totals.shards_done, 0);
  EXPECT_EQ(stage.run().Snapshot().connected, 0);
}

// ---- workers come, go and come back

TEST_F(StageRecoveryTest, AReplacedProcessIsSentAway) {
  StageBench& stage = Open();
  const SessionId old = stage.Hello("run-0", "first");
  const SessionId fresh = stage.Hello("run-0", "second");
  EXPECT_EQ(stage.sink.closed.at(old).code, ErrorCode::kConflict);
  EXPECT_FALSE(stage.sink.closed.contains(fresh));
  EXPECT_EQ(stage.run().Snapshot().connected, 1);
}

TEST_F(StageRecoveryTest, AnExpiredLeaseIsGivenAwayAgain) {
  StageBench& stage = Open(1, 100);
  const SessionId lost = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(lost);
  stage.Disconnect(lost);
  const SessionId other = stage.Hello("run-1");
  for (int i = 0; i < 250; ++i) stage.Progress(other, 1), stage.Pass(250ms);
  ASSERT_EQ(stage.Count(other, CoordinatorMessage::kLease), 1u);
  EXPECT_EQ(stage.Last(other, CoordinatorMessage::kLease)->lease().lease().attempt(),
            lease.lease().attempt() + 1);
  EXPECT_EQ(stage.run().Snapshot().lease_expirations, 1u);
}

TEST_F(StageRecoveryTest, WhatADeadProcessHeldIsGivenAwayAfterTheWireTime) {
  StageBench& stage = Open(1, 100);
  const SessionId lost = stage.Hello("run-0", "dead");
  stage.Lease(lost);
  stage.Disconnect(lost);
  stage.run().OnWorkerGone("run-0", "dead");
  EXPECT_EQ(stage.run().Snapshot().frozen_shards, 1);
  EXPECT_LE(*stage.run().Snapshot().frozen_for, 10s);
  const SessionId other = stage.Hello("run-1");
  stage.Progress(other, 1);
  stage.Pass(9s);
  EXPECT_EQ(stage.Count(other, CoordinatorMessage::kLease), 0u);
  stage.Pass(2s);
  EXPECT_EQ(stage.Count(other, CoordinatorMessage::kLease), 1u);
}

TEST_F(StageRecoveryTest, FailuresOfADeadAttemptDoNotStandAfterItsShardIsGivenAwayAgain) {
  StageBench& stage = Open(1, 100);
  const SessionId lost = stage.Hello("run-0", "dead");
  const v1::Lease lease = stage.Lease(lost);
  stage.Fail(lost, lease.lease(), lease.begin() + 7);  // never counted
  stage.Pass(1s);
  EXPECT_EQ(ReadFailures(memory_, RunKey())->size(), 1u);
  stage.Disconnect(lost);
  stage.run().OnWorkerGone("run-0", "dead");
  const SessionId other = stage.Hello("run-1");
  stage.Progress(other, 1);
  stage.Pass(11s);
  ASSERT_EQ(stage.Count(other, CoordinatorMessage::kLease), 1u);
  EXPECT_THAT(*ReadFailures(memory_, RunKey()), IsEmpty());
}

TEST_F(StageRecoveryTest, ARestartedLeaderTakesItsWorkersBackWithTheirCursors) {
  const v1::Lease lease = [&] {
    StageBench& before = Open(10, 1000);
    const SessionId worker = before.Hello("run-0", "a");
    const v1::Lease got = before.Lease(worker);
    before.Progress(worker, 0, {StageBench::At(got, 100)});
    before.Pass(1s);
    return got;
  }();
  StageBench& after = Reopen();
  EXPECT_GT(after.epoch().value, lease.lease().epoch());
  const SessionId worker = after.Hello("run-0", "a", {StageBench::At(lease, 250)});
  const v1::Welcome welcome = after.sink.sent[worker].front().welcome();
  ASSERT_EQ(welcome.kept_size(), 1);
  EXPECT_EQ(welcome.kept(0).shard(), lease.lease().shard());
  EXPECT_EQ(welcome.kept(0).epoch(), after.epoch().value);
  v1::Lease renewed = lease;
  *renewed.mutable_lease() = welcome.kept(0);
  after.Progress(worker, 0, {StageBench::At(renewed, 250)});
  EXPECT_EQ(after.run().Snapshot().totals.counts.updated, 250u);
  after.Done(worker, StageBench::Complete(renewed));
  after.FinishWrites();
  EXPECT_TRUE(after.Acknowledged(worker, renewed.lease()));
  EXPECT_EQ(after.run().Snapshot().totals.redone_at_most, 0u);
}

// A leader dies while it gives a shard away for the second time.
class SecondAttemptTest : public StageTest {
 protected:
  // Of the batches that begin the second attempt, so many objects become durable.
  void DieAfter(std::size_t writes) {
    StageBench& before = Open(1, 100);
    const SessionId worker = before.Hello("run-0", "a");
    lease_ = before.Lease(worker);
    before.Fail(worker, lease_.lease(), 1);
    before.Progress(worker, 0, {StageBench::At(lease_, 10, 1)});
    before.Pass(1s);
    before.Fail(worker, lease_.lease(), 11);  // not counted before it is lost
    before.Pass(1s);
    before.Disconnect(worker);
    const SessionId other = before.Hello("run-1", "b");
    clock_.Advance(61s);
    before.Progress(other, 1);
    before.run().Settle();
    ASSERT_TRUE(before.writer.held);
    for (std::size_t i = 0; i < writes && before.writer.held; ++i) {
      ASSERT_EQ(before.writer.held->size(), 1u);
      before.FinishOneBatch();
    }
    granted_ = before.Count(other, CoordinatorMessage::kLease) > 0;
  }
  // Under the next leader: the first worker is not taken back, another one does the rest.
  void FinishTheRest() {
    StageBench& after = Reopen();
    const SessionId first = after.Hello("run-0", "a", {StageBench::At(lease_, 30, 3)});
    EXPECT_EQ(after.sink.sent[first].front().welcome().kept_size(), 0);
    const SessionId other = after.Hello("run-2", "c");
    for (int i = 0; i < 67; ++i) after.Progress(other, 1), after.Pass(1s);
    ASSERT_EQ(after.Count(other, CoordinatorMessage::kLease), 1u);
    const v1::Lease rest = after.Last(other, CoordinatorMessage::kLease)->lease();
    EXPECT_EQ(rest.cursor(), 10);
    for (const std::int64_t p : {11, 20}) after.Fail(other, rest.lease(), p);
    after.Done(other, StageBench::Complete(rest, 3));
    after.FinishWrites();
  }
  // The failures end up as 1, by the first attempt, and 11 and 20, by whoever did the rest.
  void ExpectFailuresOfBothAttempts() {
    std::vector<Position> positions;
    const auto failures = ReadFailures(memory_, RunKey());
    for (const auto& failure : *failures) positions.push_back(failure.position);
    EXPECT_THAT(positions, ::testing::ElementsAre(1, 11, 20));
    EXPECT_EQ(bench_->run().Snapshot().totals.counts.failed, 3u);
  }
  v1::Lease lease_;
  bool granted_ = false;
};

TEST_F(SecondAttemptTest, BeforeItIsRecordedTheFirstWorkerComesBackAndItsFailuresStand) {
  DieAfter(0);
  StageBench& after = Reopen();
  const SessionId worker = after.Hello("run-0", "a", {StageBench::At(lease_, 30, 3)});
  ASSERT_EQ(after.sink.sent[worker].front().welcome().kept_size(), 1);
  *lease_.mutable_lease() = after.sink.sent[worker].front().welcome().kept(0);
  for (const std::int64_t p : {1, 11, 20}) after.Fail(worker, lease_.lease(), p);
  after.Done(worker, StageBench::Complete(lease_, 3));
  after.FinishWrites();
  ExpectFailuresOfBothAttempts();
}

TEST_F(SecondAttemptTest, OnceItIsRecordedTheFirstWorkerIsOutAlsoIfTheCutIsMissing) {
  DieAfter(1);
  EXPECT_FALSE(granted_);
  FinishTheRest();
  ExpectFailuresOfBothAttempts();
}

TEST_F(SecondAttemptTest, ItIsGrantedOnceTheCutIsWritten) {
  DieAfter(2);
  EXPECT_TRUE(granted_);
  FinishTheRest();
  ExpectFailuresOfBothAttempts();
}

TEST_F(StageRecoveryTest, ARestartedLeaderDoesNotGiveAwayWhatMayStillBeWorkedOn) {
  {
    StageBench& before = Open(1, 100);
    before.Lease(before.Hello("run-0", "a"));
  }
  StageBench& after = Reopen();
  const SessionId other = after.Hello("run-1", "b");
  for (int i = 0; i < 64 * 4; ++i) after.Progress(other, 1), after.Pass(250ms);
  EXPECT_EQ(after.Count(other, CoordinatorMessage::kLease), 0u);
  EXPECT_EQ(after.run().Snapshot().frozen_shards, 1);
  for (int i = 0; i < 2 * 4; ++i) after.Progress(other, 1), after.Pass(250ms);
  EXPECT_EQ(after.Count(other, CoordinatorMessage::kLease), 1u);
}

TEST_F(StageRecoveryTest, WhereThePredecessorsAreProvenGoneTheWaitIsTheWireTime) {
  {
    StageBench& before = Open(1, 100);
    before.Lease(before.Hello("run-0", "a"));
  }
  StageBench& after = Reopen(lease::Predecessors::kProvenGone);
  const SessionId other = after.Hello("run-1", "b");
  after.Progress(other, 1);
  after.Pass(11s);
  EXPECT_EQ(after.Count(other, CoordinatorMessage::kLease), 1u);
}

}  // namespace
}  // namespace backfill::coordinator
