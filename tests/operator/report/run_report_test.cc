#include "operator/report/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/memory_store.h"

namespace backfill::report {
namespace {

const WallTime kNow{std::chrono::seconds(1'800'000'000)};

class RunReportTest : public testing::Test {
 protected:
  RunReportTest() {
    mine_.name = "reprice";
    mine_.ns = "default";
    mine_.uid = "uid-1";
    mine_.status.plan =
        api::PlanStatus{.hash = "sha256:abc", .shards = 2, .records = 10, .time = ""};
    other_ = mine_;
    other_.uid = "uid-2";
  }

  fakes::MemoryStore store_;
  ReportStore reports_{store_};
  api::Backfill mine_, other_;
};

TEST_F(RunReportTest, BeginsOnce) {
  ASSERT_TRUE(reports_.Begin(mine_, kNow).ok());
  const Status again = reports_.Begin(mine_, kNow);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
  const auto read = reports_.Read(other_);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->backfill_uid, "uid-1");
  EXPECT_EQ(read->plan_hash, "sha256:abc");
  EXPECT_EQ(read->result, RunResult::kStarted);
}

TEST_F(RunReportTest, OutlivesItsBackfill) {
  kube::Object owner;
  owner.ref = {"Backfill", "default", "reprice"};
  owner.content = "{}";
  mine_.uid = store_.Create(owner, kube::Durability::kPower)->uid;
  ASSERT_TRUE(reports_.Begin(mine_, kNow).ok());
  ASSERT_TRUE(store_.Delete(owner.ref, "").ok());
  EXPECT_TRUE(reports_.Read(other_).ok());
}

TEST_F(RunReportTest, WhatTheGovernorDidIsInIt) {
  EXPECT_EQ(reports_.AddThrottling(mine_, {{}}).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(reports_.Begin(mine_, kNow).ok());
  const api::ThrottleChange limited{.time = "2027-01-15T08:00:50Z",
                                    .state = "Limited",
                                    .limited_by = "Budget",
                                    .budget = "p99",
                                    .reason = "p99 0.31 over 0.25",
                                    .rate = 120.5};
  api::ThrottleChange held = limited;
  held.state = "Held";
  ASSERT_TRUE(reports_.AddThrottling(mine_, {limited}).ok());
  ASSERT_TRUE(reports_.AddThrottling(mine_, {held}).ok());
  EXPECT_EQ(reports_.AddThrottling(other_, {held}).error().code, ErrorCode::kConflict);
  ASSERT_TRUE(reports_.Finish(mine_, RunResult::kCompleted, {}, kNow).ok());
  EXPECT_THAT(reports_.Read(mine_)->throttling.changes, testing::ElementsAre(limited, held));
  EXPECT_EQ(reports_.AddThrottling(mine_, {limited}).error().code, ErrorCode::kConflict)
      << "what has ended does not change";
}

api::ThrottleChange InState(const std::string& state) {
  api::ThrottleChange change;
  change.state = state;
  return change;
}

TEST(ThrottleTimelineTest, KeepsTheFirstAndTheLatestChanges) {
  ThrottleTimeline timeline;
  for (int i = 0; i < 1000; ++i) Append(timeline, {InState(std::to_string(i))});
  ASSERT_EQ(timeline.changes.size(), kMaxThrottleChanges);
  EXPECT_EQ(timeline.left_out, 1000 - kMaxThrottleChanges);
  EXPECT_EQ(timeline.changes.front().state, "0");
  EXPECT_EQ(timeline.changes[kFirstThrottleChanges - 1].state, "19");
  EXPECT_EQ(timeline.changes[kFirstThrottleChanges].state, "900");
  EXPECT_EQ(timeline.changes.back().state, "999");
}

TEST(ThrottleTimelineTest, TextsOfOthersTakeNoMoreRoomThanALine) {
  ThrottleTimeline timeline;
  api::ThrottleChange change;
  change.reason = std::string(199, 'x') + "\xc3\xa4" + std::string(1000, 'x');
  Append(timeline, {change});
  EXPECT_EQ(timeline.changes[0].reason, std::string(199, 'x')) << "no half of a character";
}

TEST_F(RunReportTest, TheEndIsWrittenOnceAndNeverChanges) {
  ASSERT_TRUE(reports_.Begin(mine_, kNow).ok());
  api::ProgressStatus outcome;
  outcome.records = 10;
  outcome.failed = 3;
  ASSERT_TRUE(reports_.Finish(mine_, RunResult::kFailed, outcome, kNow).ok());
  EXPECT_TRUE(reports_.Finish(mine_, RunResult::kFailed, {}, kNow).ok()) << "repeating it is fine";
  EXPECT_EQ(reports_.Finish(mine_, RunResult::kCompleted, outcome, kNow).error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(reports_.Read(mine_)->result, RunResult::kFailed);
  EXPECT_EQ(reports_.Read(mine_)->outcome.records, 10U);
  EXPECT_EQ(reports_.Read(mine_)->outcome.failed, 3U);
}

TEST_F(RunReportTest, NobodyFinishesTheReportOfAnother) {
  ASSERT_TRUE(reports_.Begin(mine_, kNow).ok());
  EXPECT_EQ(reports_.Finish(other_, RunResult::kCompleted, {}, kNow).error().code,
            ErrorCode::kConflict);
}

TEST_F(RunReportTest, AForeignConfigMapIsNoReportAndIsLeftAlone) {
  for (const char* content : {"{}", R"({"data":{"report.json":"{}"}})", R"({"data":7})"}) {
    kube::Object foreign;
    foreign.ref = {"ConfigMap", "default", "reprice-report"};
    foreign.content = content;
    ASSERT_TRUE(store_.Create(foreign, kube::Durability::kPower).ok());
    EXPECT_EQ(reports_.Read(mine_).error().code, ErrorCode::kInvalid) << content;
    EXPECT_EQ(reports_.Begin(mine_, kNow).error().code, ErrorCode::kConflict);
    ASSERT_TRUE(store_.Delete(foreign.ref, "").ok());
  }
}

TEST_F(RunReportTest, ADryRunKeepsSamplesWhateverTheirBytes) {
  ASSERT_TRUE(reports_.WriteDryRun(mine_, {}, {{"7", "POST /7"}, {"\xff", "\xc3("}}, kNow).ok());
  ASSERT_TRUE(reports_.WriteDryRun(mine_, {}, {{"7", "POST /7"}, {"\xff", "\xc3("}}, kNow).ok())
      << "written again";
  const auto samples = reports_.ReadSamples(mine_);
  ASSERT_TRUE(samples.ok());
  ASSERT_EQ(samples->size(), 2U);
  EXPECT_EQ(samples->at(0).request, "POST /7");
}

TEST_F(RunReportTest, SaysWhatPlanningFoundInAFile) {
  mine_.status.plan->bad_records = 3;
  mine_.status.plan->duplicate_keys = 2;
  ASSERT_TRUE(reports_.Begin(mine_, kNow).ok());
  ASSERT_TRUE(reports_.Finish(mine_, RunResult::kCompleted, {}, kNow).ok());
  const auto read = reports_.Read(mine_);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->bad_records, 3U);
  EXPECT_EQ(read->duplicate_keys, 2U);
}

}  // namespace
}  // namespace backfill::report
