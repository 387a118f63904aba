#include "operator/coordinator/ledger_flush.h"

#include "tests/operator/coordinator/stage_bench.h"

// What is written when, where a ledger has more than one chunk.
namespace backfill::coordinator {
namespace {

using v1::CoordinatorMessage;

class LedgerFlushTest : public StageTest {
 protected:
  // `slow` has the first shard of chunk 0, `quick` has done the rest of the chunk.
  void StartIntoTheSecondChunk(int shards_of_it) {
    StageBench& stage = Open(ledger::kShardsPerChunk + shards_of_it, 100);
    slow = stage.Hello("run-0", "slow");
    lease_of_slow = stage.Lease(slow);
    quick = stage.Hello("run-1", "quick");
    for (int i = 1; i < ledger::kShardsPerChunk; ++i) FinishAShard();
  }
  void FinishAShard() {
    bench_->Done(quick, StageBench::Complete(bench_->Lease(quick)));
    bench_->FinishWrites();
  }

  SessionId slow, quick;
  v1::Lease lease_of_slow;
};

TEST_F(LedgerFlushTest, CursorsAreWrittenAlsoWhileOtherWritesAreWaitedForAllTheTime) {
  StartIntoTheSecondChunk(12);
  std::vector<std::pair<SessionId, v1::Lease>> others;
  for (int i = 0; i < 10; ++i) {
    const SessionId other = bench_->Hello("run-" + std::to_string(i + 2));
    others.emplace_back(other, bench_->Lease(other));
  }
  bench_->run().Settle();
  bench_->Progress(slow, 0, {StageBench::At(lease_of_slow, 7)});
  for (const auto& [other, lease] : others) {
    // Before the batch that is under way has ended, so that the next one is waited for, too.
    bench_->Done(other, StageBench::Complete(lease));
    clock_.Advance(50ms);
    if (!bench_->FinishOneBatch()) bench_->run().Settle();
  }
  EXPECT_EQ(Stored(lease_of_slow.lease().shard()).cursor, lease_of_slow.begin() + 7);
}

// A leader that has just taken over has several things to write before the first lease.
TEST_F(LedgerFlushTest, WhatIsWaitedForIsWrittenAFewTimesInARowAndThenAtItsPace) {
  options_.cursor_flush = 1h;
  options_.waited_flush = 200ms;
  options_.waited_in_a_row = 3;
  StageBench& stage = Open(400, 10);
  int workers = 0;
  const auto one_more_asks = [&] {
    stage.Progress(stage.Hello("run-" + std::to_string(workers++)), 1);
    stage.run().Settle();
    return stage.FinishOneBatch();
  };
  int batches = 0;
  for (int i = 0; i < 6; ++i) batches += one_more_asks() ? 1 : 0;
  EXPECT_EQ(batches, 3);
  batches = 0;
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(10ms);
    batches += one_more_asks() ? 1 : 0;
  }
  EXPECT_GE(batches, 4);
  EXPECT_LE(batches, 5);
}

TEST_F(LedgerFlushTest, ACutIsWrittenAtOnceAlsoIfAnotherChunkIsConfirmedBehindItsOwn) {
  options_.cursor_flush = 1h;
  StartIntoTheSecondChunk(1);
  const v1::Lease last = bench_->Lease(quick);
  bench_->Disconnect(slow);
  bench_->run().OnWorkerGone("run-0", "slow");
  clock_.Advance(11s);
  bench_->Done(quick, StageBench::Complete(last));
  bench_->run().Settle();
  ASSERT_TRUE(bench_->writer.held);
  ASSERT_EQ(bench_->writer.held->size(), 2u) << "the next attempt, and the shard that is done";
  bench_->FinishOneBatch();
  ASSERT_TRUE(bench_->writer.held) << "the cut waits for the next cursors";
  EXPECT_EQ(bench_->writer.held->front().kind, LedgerWrite::Kind::kPage);
}

}  // namespace
}  // namespace backfill::coordinator
