// A file source on a cluster, from the object to the ledger: a worker reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/operator/reconcile/reconciler_on_cluster.h"

namespace backfill::reconcile {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kBackfillOfAFile[] = R"({"apiVersion": "backfill.dev/v1alpha1", "kind": "Backfill",
  "metadata": {"name": "reprice"}, "spec": {
    "source": {"file": {"path": "/data/ids.csv", "format": "Csv", "key": "id"}},
    "target": {"http": {"url": "http://127.0.0.1:1/{{key}}"}}}})";

plan::FoundSource ThreeShards() {
  plan::FoundSource found;
  for (Position i = 0; i < 3; ++i) {
    const auto n = static_cast<std::uint64_t>(i);
    found.shards.push_back({.range = {i * 10, i * 10 + 10},
                            .records = 10,
                            .extent = rows::Extent{.first = i * 10,
                                                   .records = 10,
                                                   .offset = 3 + n * 50,
                                                   .bytes = 50,
                                                   .line = 2 + n * 10}});
  }
  found.facts = {.shape = {.columns = {"id"}},
                 .bytes = 153,
                 .bad_records = 2,
                 .bad_by_fault = {{"not UTF-8", 2}}};
  return found;
}

class ReconcilerPlanningTest : public ReconcilerOnCluster {
 protected:
  void Apply() { Create(kBackfillOfAFile); }
  void Edit(const std::string& path) {
    api::Backfill b = api::FromObject(*memory_.Get(ref_)).value();
    std::get<api::FileSource>(b.spec.source).path = path;
    ++b.generation;
    ASSERT_TRUE(memory_.Update(api::ToObject(b), kube::Durability::kPower).ok());
  }
  void Reading() {
    Apply();
    Step(3);
    ASSERT_TRUE(stages_.IsOpen(Stage::kPlan));
    ASSERT_EQ(pool_.alive(Stage::kPlan), 1);
  }
};

// The operator has no such file, and would say so.
TEST_F(ReconcilerPlanningTest, AFileIsReadByAWorkerAndNotByTheOperator) {
  Reading();
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Planning");
  EXPECT_THAT(stages_.ledgers(), IsEmpty());
  stages_.Finds(ThreeShards());
  Step(2);
  const auto plan = Stored().status.plan;
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->shards, 3);
  EXPECT_EQ(plan->records, 30u);
  EXPECT_EQ(plan->bad_records, 2u);
  EXPECT_EQ(stages_.ledgers().size(), 2u) << "the dry run has one of its own";
  EXPECT_THAT(events_.reasons, Contains("PlanComputed"));
  EXPECT_FALSE(stages_.IsOpen(Stage::kPlan));
  EXPECT_EQ(pool_.alive(Stage::kPlan), 0);
  EXPECT_TRUE(stages_.IsOpen(Stage::kDryRun));
}

TEST_F(ReconcilerPlanningTest, HowFarItIsIsWrittenOncePerPeriod) {
  Reading();
  clock_.Advance(5s);
  store_.ForgetWrites();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    stages_.Reads(
        {.connected = true, .bytes_read = i * 1'000'000, .bytes_total = {}, .records = i});
    Step();
  }
  EXPECT_EQ(store_.Writes(), 1);
  EXPECT_THAT(MessageOf("Planned"), HasSubstr("read 1.0 MB"));
  clock_.Advance(5s);
  Step();
  EXPECT_THAT(MessageOf("Planned"), HasSubstr("read 20.0 MB"));
}

TEST_F(ReconcilerPlanningTest, R19_AFileThatIsMissingIsTriedAgainLaterAndLater) {
  Reading();
  std::vector<Duration> waits;
  for (int i = 0; i < 4; ++i) {
    stages_.Finds(Error{ErrorCode::kUnavailable, "/data/ids.csv: no such file"});
    Step(2);
    EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
    EXPECT_THAT(MessageOf("Ready"), HasSubstr("no such file"));
    EXPECT_EQ(pool_.alive(Stage::kPlan), 0);
    EXPECT_FALSE(stages_.IsOpen(Stage::kPlan));
    Step();
    waits.push_back(last_);
    clock_.Advance(last_);
    Step(2);
    ASSERT_TRUE(stages_.IsOpen(Stage::kPlan)) << i;
    EXPECT_EQ(pool_.alive(Stage::kPlan), 1);
    EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable") << "a try heals nothing";
  }
  EXPECT_GT(waits[0], 5s);
  EXPECT_GT(waits[3], waits[0] * 3) << "10, 20, 40, 80 s after it failed first";
  stages_.Finds(ThreeShards());
  Step(4);
  EXPECT_TRUE(Stored().status.plan);
  EXPECT_EQ(ConditionOf("Ready"), "True/DryRunning");
}

TEST_F(ReconcilerPlanningTest, AFileThatCannotBePlannedWaitsForAnEdit) {
  Reading();
  stages_.Finds(Error{ErrorCode::kInvalid, "reading /data/ids.csv: there is no column id"});
  Step(3);
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  EXPECT_EQ(ConditionOf("Planned"), "False/PlanFailed");
  EXPECT_EQ(pool_.alive(Stage::kPlan), 0);
  clock_.Advance(1h);
  Step(3);
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  EXPECT_FALSE(stages_.IsOpen(Stage::kPlan));
  Edit("/data/better.csv");
  Step(2);
  EXPECT_TRUE(stages_.IsOpen(Stage::kPlan));
  EXPECT_EQ(pool_.alive(Stage::kPlan), 1);
}

TEST_F(ReconcilerPlanningTest, AnEditWhileItIsReadBeginsAnew) {
  Reading();
  stages_.Finds(ThreeShards());
  Edit("/data/other.csv");
  Step();
  EXPECT_FALSE(Stored().status.plan) << "what was found is not what is asked for";
  EXPECT_EQ(pool_.alive(Stage::kPlan), 0);
  Step(2);
  EXPECT_TRUE(stages_.IsOpen(Stage::kPlan));
  EXPECT_EQ(std::get<api::FileSource>(stages_.source(Stage::kPlan)).path, "/data/other.csv");
}

// R24, R25: somebody edits between the reading and the writing of the plan.
TEST_F(ReconcilerPlanningTest, APlanThatMeetsAConflictIsWrittenInTheNextStep) {
  Reading();
  stages_.Finds(ThreeShards());
  store_.FailNext(1, Error{ErrorCode::kConflict, "the object has been modified"}, "Backfill");
  Step();
  EXPECT_FALSE(Stored().status.plan);
  Step();
  EXPECT_TRUE(Stored().status.plan);
}

TEST_F(ReconcilerPlanningTest, F1_AnOperatorThatDiesAtAnyStepPlansAllTheSame) {
  for (int steps = 0; steps < 6; ++steps) {
    SCOPED_TRACE(steps);
    if (steps > 0) {
      ASSERT_TRUE(memory_.Delete(ref_, "").ok());
      Step(6);
    }
    Apply();
    Step(steps);
    CrashOperator();
    Step(4);
    if (!Stored().status.plan) {
      ASSERT_TRUE(stages_.IsOpen(Stage::kPlan));
      stages_.Finds(ThreeShards());
      CrashOperator();  // it has been found, not written
      Step(4);
      EXPECT_FALSE(Stored().status.plan);
      stages_.Finds(ThreeShards());  // its worker says it again
      Step(4);
    }
    ASSERT_TRUE(Stored().status.plan);
    EXPECT_EQ(Stored().status.plan->records, 30u);
    EXPECT_EQ(pool_.alive(Stage::kPlan), 0);
  }
}

TEST_F(ReconcilerPlanningTest, F25_ARestartKeepsTheScheduleAndTheReason) {
  Reading();
  stages_.Finds(Error{ErrorCode::kUnavailable, "/data/ids.csv: no such file"});
  Step(3);
  CrashOperator();
  Step(3);
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
  EXPECT_FALSE(stages_.IsOpen(Stage::kPlan));
  clock_.Advance(15s);
  Step(2);
  EXPECT_TRUE(stages_.IsOpen(Stage::kPlan));
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
}

TEST_F(ReconcilerPlanningTest, ADeletedOneLeavesNoWorker) {
  Reading();
  ASSERT_TRUE(memory_.Delete(ref_, "").ok());
  Step(5);
  EXPECT_FALSE(memory_.Get(ref_).ok());
  EXPECT_EQ(pool_.alive(Stage::kPlan), 0);
  EXPECT_FALSE(stages_.IsOpen(Stage::kPlan));
}

TEST_F(ReconcilerPlanningTest, AnotherLeaderFindsTheStageClosedHere) {
  Reading();
  ASSERT_TRUE(reconciler_->HandOver().ok());
  EXPECT_FALSE(stages_.IsOpen(Stage::kPlan));
  EXPECT_EQ(pool_.alive(Stage::kPlan), 1) << "its worker goes on";
}

}  // namespace
}  // namespace backfill::reconcile
