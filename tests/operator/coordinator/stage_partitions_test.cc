// A stage of a target with partitions: what its workers may send to each, and what they say of it.
#include <gtest/gtest.h>

#include "tests/operator/coordinator/stage_bench.h"

namespace backfill::coordinator {
namespace {

using v1::CoordinatorMessage;

class StagePartitionsTest : public StageTest {
 protected:
  StageBench& Open() {
    CreateLedger(20, 100);
    bench_ = std::make_unique<StageBench>(levers_, clock_, RunKey(), options_,
                                          lease::Predecessors::kProvenGone, "{{fields.region}}");
    bench_->run().Configure(WithCap(100));
    return *bench_;
  }
  static reconcile::LiveSettings WithCap(double eu) {
    reconcile::LiveSettings settings = Running();
    settings.partitions = {.named = {{"eu", eu}}, .others = 10};
    return settings;
  }
  // What it was told last of that partition; -1: nothing.
  double Cap(SessionId worker) {
    const auto last = bench_->Last(worker, CoordinatorMessage::kPartitionCaps);
    if (!last || last->partition_caps().caps_size() != 1) return -1;
    EXPECT_EQ(last->partition_caps().caps(0).name(), "eu");
    EXPECT_EQ(last->partition_caps().valid_for_ms(), 30'000U);
    return last->partition_caps().caps(0).records_per_second();
  }
};

TEST_F(StagePartitionsTest, ANewWorkerIsToldItsCaps) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  stage.run().Settle();
  EXPECT_EQ(stage.sink.sent[worker].front().welcome().workload().partition_by(),
            "{{fields.region}}");
  EXPECT_DOUBLE_EQ(Cap(worker), 100);
}

TEST_F(StagePartitionsTest, ACutIsPushedAtOnceToAllWorkers) {
  StageBench& stage = Open();
  const SessionId one = stage.Hello("run-0"), two = stage.Hello("run-1");
  stage.run().Settle();
  stage.run().Configure(WithCap(10));
  stage.run().Settle();
  EXPECT_DOUBLE_EQ(Cap(one) + Cap(two), 10);
}

TEST_F(StagePartitionsTest, WithoutPartitionsNothingIsSaidOfThem) {
  StageBench& stage = StageTest::Open();
  const SessionId worker = stage.Hello("run-0");
  stage.run().Configure(WithCap(10));
  stage.Pass(10s);
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kPartitionCaps), 0U);
  EXPECT_TRUE(stage.run().Snapshot().partitions.empty());
}

TEST_F(StagePartitionsTest, WhatWorkersSayOfThemIsShown) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  v1::WorkerMessage message;
  v1::PartitionProgress& eu = *message.mutable_progress()->add_partitions();
  eu.set_name("eu");
  eu.set_waiting(7);
  eu.set_limited(true);
  stage.Say(worker, message);
  const auto flows = stage.run().Snapshot().partitions;
  ASSERT_TRUE(flows.contains("eu"));
  EXPECT_EQ(flows.at("eu").waiting, 7U);
  EXPECT_TRUE(flows.at("eu").limited);
}

TEST_F(StagePartitionsTest, AWorkerWhoseLeasesWaitMayHoldMore) {
  StageBench& stage = Open();
  const SessionId worker = stage.Hello("run-0");
  for (int i = 0; i < 12; ++i) {
    stage.Progress(worker, 2);
    stage.FinishWrites();
  }
  EXPECT_EQ(stage.sink.sent[worker].front().welcome().max_leases(), 2U);
  EXPECT_EQ(stage.Count(worker, CoordinatorMessage::kLease), 8U);
}

TEST_F(StagePartitionsTest, AWorkerThatKnowsNoPartitionsIsRefused) {
  StageBench& stage = Open();
  v1::WorkerMessage message;
  message.mutable_hello()->set_worker("run-0");
  message.mutable_hello()->set_instance("old");
  stage.Say({99}, message);
  EXPECT_TRUE(stage.sink.closed.contains({99}));
}

TEST_F(StagePartitionsTest, MorePartitionsThanAWorkerMayNameEndTheStream) {
  StageBench& stage = Open();
  v1::WorkerMessage many, long_name;
  for (int i = 0; i <= kMaxPartitions; ++i) many.mutable_progress()->add_partitions();
  long_name.mutable_progress()->add_partitions()->set_name(std::string(kMaxPartitionName + 1, 'x'));
  for (const v1::WorkerMessage& message : {many, long_name}) {
    const SessionId worker = stage.Hello("run-0");
    stage.Say(worker, message);
    EXPECT_TRUE(stage.sink.closed.contains(worker));
  }
}

}  // namespace
}  // namespace backfill::coordinator
