#include "tests/operator/coordinator/stage_bench.h"

// What a stage says of how well it is served.
namespace backfill::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StageMetricsTest : public StageTest {
 protected:
  void Ask(SessionId session) {
    bench_->Progress(session, 1);
    bench_->run().Settle();
  }
  [[nodiscard]] Duration Unwritten() const { return bench_->run().Snapshot().unwritten_for; }
};

TEST_F(StageMetricsTest, AWaitForAShardIsTheTimeThatItsWriteTakes) {
  StageBench& stage = Open();
  Ask(stage.Hello("run-0"));
  clock_.Advance(30ms);
  stage.FinishWrites();
  EXPECT_THAT(stage.granted, ElementsAre(30ms));
}

TEST_F(StageMetricsTest, AShardThatWasReservedAheadIsHadAtOnce) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  stage.FinishWrites();
  clock_.Advance(1s);
  Ask(worker);
  EXPECT_THAT(stage.granted, ElementsAre(0ms));
}

TEST_F(StageMetricsTest, ARequestThatIsRepeatedHasWaitedSinceTheFirstOne) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  Ask(worker);
  clock_.Advance(100ms);
  Ask(worker);
  clock_.Advance(100ms);
  stage.FinishWrites();
  EXPECT_THAT(stage.granted, ElementsAre(200ms));
}

TEST_F(StageMetricsTest, WhoWaitsWhileItIsPausedDoesNotWaitForUs) {
  StageBench& stage = Open();
  stage.run().Configure(Paused());
  Ask(stage.Hello("run-0"));
  clock_.Advance(20s);
  stage.run().Settle();
  stage.run().Configure(Running());
  stage.run().Settle();
  clock_.Advance(20ms);
  stage.FinishWrites();
  EXPECT_THAT(stage.granted, ElementsAre(20ms));
}

TEST_F(StageMetricsTest, WhoWaitsForAnotherWorkersShardDoesNotWaitForUs) {
  StageBench& stage = Open(1);
  const SessionId first = stage.Hello("run-0", "first");
  static_cast<void>(stage.Lease(first));
  stage.granted.clear();
  const SessionId second = stage.Hello("run-1", "second");
  Ask(second);
  clock_.Advance(20s);  // short of what the second may be silent
  Ask(second);
  EXPECT_THAT(stage.granted, IsEmpty());
  stage.Disconnect(first);
  stage.run().OnWorkerGone("run-0", "first");
  clock_.Advance(11s);
  Ask(second);
  stage.run().Settle();
  clock_.Advance(40ms);
  stage.FinishWrites();
  EXPECT_THAT(stage.granted, ElementsAre(40ms));
}

TEST_F(StageMetricsTest, WhatIsNotWrittenGrowsOldUntilItIs) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.FinishWrites();
  EXPECT_EQ(Unwritten(), 0ms);
  clock_.Advance(10s);
  stage.run().Settle();
  EXPECT_EQ(Unwritten(), 0ms) << "there is nothing to write";

  clock_.Advance(1s);
  stage.Progress(worker, 0, {StageBench::At(lease, 5)});
  stage.run().Settle();
  clock_.Advance(3s);
  stage.Progress(worker, 0, {StageBench::At(lease, 6)});
  stage.run().Settle();
  EXPECT_EQ(Unwritten(), 4s) << "the batch is under way";
  stage.FinishOneBatch();
  EXPECT_EQ(Unwritten(), 3s) << "what came after it is not in it";
  stage.FinishWrites();
  EXPECT_EQ(Unwritten(), 0ms);
}

TEST_F(StageMetricsTest, AStoreThatRefusesWritesLetsItGrowOld) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.FinishWrites();
  stage.Progress(worker, 0, {StageBench::At(lease, 5)});
  levers_.FailNext(1000, kAway);
  stage.Pass(20s);
  EXPECT_GE(Unwritten(), 19s);
  levers_.FailNext(0, kAway);
  stage.Pass(10s);
  EXPECT_LT(Unwritten(), 1s);
}

}  // namespace
}  // namespace backfill::coordinator
