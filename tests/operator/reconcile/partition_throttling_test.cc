// Governors of partitions, as the one of a Backfill has them.
#include "operator/reconcile/partition_throttling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "operator/decision_log/replay.h"
#include "operator/reconcile/throttling.h"
#include "tests/operator/reconcile/lines_in_memory.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;

class PartitionThrottlingTest : public testing::Test {
 protected:
  PartitionThrottlingTest() {
    b_.ns = "shop";
    b_.name = "reprice";
    b_.uid = "uid-1";
    b_.spec.dry_run = false;
    api::Throttle& throttle = b_.spec.throttle;
    throttle.max_records_per_second = 1000;
    throttle.partition_by = "{{fields.region}}";
    api::Budget& budget = throttle.budgets.emplace_back();
    budget.name = "p99";
    budget.max = "1";
    api::PrometheusMetric& metric = budget.prometheus.emplace();
    metric.address = "http://p";
    metric.query = "max by (region) (p99)";
    budget.scope = api::BudgetScope::kPartition;
    budget.partition_label = "region";
    open_.totals.counts.updated = 1;
  }
  // The answer of this moment, as PrometheusSource has it: the worst stands for all.
  void Answer(const std::map<std::string, double>& values) {
    std::map<std::string, throttle::Observation> said;
    double worst = 0;
    for (const auto& [name, value] : values) {
      said[name] = {throttle::Answer::kValue, value, now_, ""};
      worst = std::max(worst, value);
    }
    observations_ = {{throttle::Answer::kValue, worst, now_, ""}};
    partitions_ = {said};
  }
  void Fails() {
    observations_ = {{throttle::Answer::kError, 0, now_, "several series of the partition eu"}};
    partitions_ = {{}};
  }
  ThrottleView Step() {
    // Every partition that may be sent to is, as far as it may.
    open_.attempts_per_second = view_.rate;
    open_.records_wait = true;
    for (const auto& [name, rate] : view_.partitions.named) {
      if (has_records_.contains(name))
        open_.partitions[name] = {.attempts_per_second = rate, .waiting = 10, .limited = true};
    }
    auto view = throttling_.Step({.backfill = b_,
                                  .open = &open_,
                                  .begun = true,
                                  .observations = observations_,
                                  .partitions = partitions_,
                                  .log = &log_},
                                 now_, wall_);
    EXPECT_TRUE(view.ok()) << view.error().message;
    if (view.ok()) view_ = *view;
    return view_;
  }
  ThrottleView For(Duration time, const std::map<std::string, double>& values) {
    for (Duration passed{}; passed < time; passed += 10s) {
      now_ += 10s;
      wall_ += std::chrono::duration_cast<WallTime::duration>(Duration(10s));
      Answer(values);
      Step();
    }
    return view_;
  }

  api::Backfill b_;
  StageSnapshot open_;
  std::set<std::string> has_records_ = {"eu", "us", "ap"};
  std::vector<throttle::Observation> observations_;
  PartitionThrottling::Answers partitions_;
  LinesInMemory log_;  // outlives the governors
  Throttling throttling_;
  ThrottleView view_;
  Time now_{1000h};
  WallTime wall_ = ParseWallTime("2026-11-28T12:00:00Z").value();
};

TEST_F(PartitionThrottlingTest, EachPartitionHasARateOfItsOwnAndTheyBoundTheWhole) {
  Answer({{"eu", 0.1}, {"us", 0.1}});
  const ThrottleView view = Step();
  EXPECT_THAT(view.partitions.named, ElementsAre(Key("eu"), Key("us")));
  EXPECT_DOUBLE_EQ(view.partitions.named.at("eu"), 10);  // 1 % of the maximum
  EXPECT_DOUBLE_EQ(view.partitions.others, 10);
  EXPECT_DOUBLE_EQ(view.rate, 30);
}

TEST_F(PartitionThrottlingTest, AHotPartitionIsCutAndTheOthersAreNot) {
  For(10min, {{"eu", 0.2}, {"us", 0.2}, {"ap", 0.2}});
  const double before = view_.partitions.named.at("us");
  const ThrottleView view = For(10min, {{"eu", 1.5}, {"us", 0.2}, {"ap", 0.2}});
  EXPECT_LT(view.partitions.named.at("eu"), 100);
  EXPECT_GE(view.partitions.named.at("us"), before);
  EXPECT_EQ(view.throttled, "BudgetExceeded");
  EXPECT_THAT(view.message, HasSubstr("partition eu: p99"));
}

TEST_F(PartitionThrottlingTest, TheSlowestIsShownAndHotOnceItHasBeenSoForTenMinutes) {
  For(20min, {{"eu", 0.2}, {"us", 0.2}, {"ap", 0.2}});
  ASSERT_TRUE(view_.status && view_.status->slowest_partition);
  EXPECT_FALSE(view_.status->slowest_partition->hot);
  For(5min, {{"eu", 1.5}, {"us", 0.2}, {"ap", 0.2}});
  EXPECT_EQ(view_.status->slowest_partition->name, "eu");
  EXPECT_FALSE(view_.status->slowest_partition->hot);
  For(15min, {{"eu", 1.5}, {"us", 0.2}, {"ap", 0.2}});
  EXPECT_EQ(view_.status->slowest_partition->name, "eu");
  EXPECT_TRUE(view_.status->slowest_partition->hot);
  EXPECT_EQ(view_.status->binding_budget, "p99");
}

TEST_F(PartitionThrottlingTest, APartitionWithoutASeriesHasAMissingMetric) {
  open_.partitions["ap"] = {.attempts_per_second = 5, .waiting = 10};
  has_records_ = {"eu", "us"};
  For(1min, {{"eu", 0.2}, {"us", 0.2}});
  ASSERT_TRUE(view_.partitions.named.contains("ap"));
  EXPECT_LE(view_.partitions.named.at("ap"), 10);
  For(10min, {{"eu", 0.2}, {"us", 0.2}});
  EXPECT_EQ(view_.partitions.named.at("ap"), 0);
  EXPECT_GT(view_.partitions.named.at("eu"), 10);
}

TEST_F(PartitionThrottlingTest, AnAnswerThatIsNoneIsSoForAllThatAreKnown) {
  For(10min, {{"eu", 0.2}, {"us", 0.2}});
  const double before = view_.partitions.named.at("eu");
  for (int i = 0; i < 60; ++i) {
    now_ += 10s;
    Fails();
    Step();
    EXPECT_LE(view_.partitions.named.at("eu"), before);
  }
  EXPECT_EQ(view_.partitions.named.at("eu"), 0);
  EXPECT_EQ(view_.partitions.named.at("us"), 0);
}

TEST_F(PartitionThrottlingTest, ABudgetThatIsOnlyWatchedLowersNothing) {
  b_.spec.throttle.budgets.front().enforce = false;
  const ThrottleView view = For(10min, {{"eu", 1.5}, {"us", 0.2}});
  EXPECT_DOUBLE_EQ(view.rate, 1000);
  EXPECT_DOUBLE_EQ(view.partitions.named.at("eu"), 1000);
  EXPECT_DOUBLE_EQ(view.partitions.others, 1000);
}

TEST_F(PartitionThrottlingTest, APinIsForAllOfThem) {
  api::Override& pin = b_.spec.throttle.override.emplace();
  pin.type = api::OverrideType::kPin;
  pin.records_per_second = 77;
  pin.until = FormatWallTime(wall_ + std::chrono::hours(1));
  const ThrottleView view = For(1min, {{"eu", 0.2}, {"us", 0.2}});
  EXPECT_DOUBLE_EQ(view.rate, 77);
  EXPECT_DOUBLE_EQ(view.partitions.named.at("eu"), 77);
  EXPECT_DOUBLE_EQ(view.partitions.others, 77);
}

TEST_F(PartitionThrottlingTest, APauseStopsThemAll) {
  For(10min, {{"eu", 0.2}, {"us", 0.2}});
  auto view = throttling_.Step({.backfill = b_,
                                .open = &open_,
                                .begun = true,
                                .paused = true,
                                .observations = observations_,
                                .partitions = partitions_,
                                .log = &log_},
                               now_, wall_);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->rate, 0);
  EXPECT_EQ(view->partitions.named.at("eu"), 0);
}

TEST_F(PartitionThrottlingTest, EveryDecisionCanBeMadeAgainFromTheLog) {
  For(20min, {{"eu", 0.2}, {"us", 0.2}});
  For(10min, {{"eu", 1.5}, {"us", 0.2}});
  decision_log::Replay replay;
  for (const std::string& line : log_.lines) replay.Add(line);
  EXPECT_EQ(replay.governors(), 3U);
  EXPECT_GT(replay.counts().decisions, 500U);
  EXPECT_EQ(replay.counts().different, 0U);
  EXPECT_EQ(replay.counts().invalid, 0U);
  EXPECT_EQ(replay.counts().unanchored, 0U);
}

TEST_F(PartitionThrottlingTest, ABudgetOfTheWholeTargetBoundsThemStill) {
  api::Budget& budget = b_.spec.throttle.budgets.emplace_back(b_.spec.throttle.budgets.front());
  budget.name = "errors";
  budget.scope = api::BudgetScope::kGlobal;
  budget.partition_label = "";
  for (int i = 0; i < 60; ++i) {
    now_ += 10s;
    Answer({{"eu", 0.2}, {"us", 0.2}});
    observations_.push_back({throttle::Answer::kValue, 1.2, now_, ""});
    partitions_.emplace_back();
    Step();
  }
  EXPECT_LT(view_.rate, 10);
  EXPECT_EQ(view_.status->binding_budget, "errors");
  EXPECT_EQ(view_.status->budgets.size(), 2U);
}

}  // namespace
}  // namespace backfill::reconcile
