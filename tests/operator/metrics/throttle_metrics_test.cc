#include "operator/metrics/throttle_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "operator/kube/probes/prometheus_metrics.h"

namespace backfill::metrics {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using throttle::GovernorState;
using throttle::LimitedBy;
using throttle::MetricState;

class ThrottleMetricsTest : public ::testing::Test {
 protected:
  ThrottleMetricsTest() {
    prometheus_.Add(metrics_);
    b_.ns = "shop";
    b_.name = "reprice";
    b_.uid = "u-1";
    options_.max_records_per_second = 500;
    options_.budgets = {{.name = "p99", .bound = 0.25}, {.name = "lag", .bound = 10}};
    decision_.rate = 120;
    decision_.limit = 400;
    decision_.state = GovernorState::kLimited;
    decision_.limited_by = LimitedBy::kBudget;
    decision_.binding = 0;
    decision_.budgets = {{.state = MetricState::kFresh, .value = 0.3, .pressure = 1.2, .age = 7s},
                         {.state = MetricState::kError, .discarded = 3, .from_the_future = 1}};
  }
  void Decide() { metrics_.Decided(b_, options_, decision_); }
  void DecideAs(GovernorState state, LimitedBy limited_by) {
    decision_.state = state;
    decision_.limited_by = limited_by;
    Decide();
  }
  [[nodiscard]] std::string Text() const { return prometheus_.Text(); }
  static std::string Line(const std::string& metric, const std::string& labels,
                          const std::string& value) {
    std::string who = R"(name="reprice",namespace="shop")";
    std::string all = labels.empty() ? who : labels;
    const std::size_t at = all.find("WHO");
    if (at != std::string::npos) all.replace(at, 3, who);
    return "\n" + metric + "{" + all + "} " + value + "\n";
  }

  ThrottleMetrics metrics_;
  kube::PrometheusMetrics prometheus_;
  api::Backfill b_;
  throttle::GovernorOptions options_;
  throttle::Decision decision_;
};

TEST_F(ThrottleMetricsTest, ADecisionIsPublishedWithEachBudget) {
  Decide();
  const std::string text = Text();
  for (const auto& [metric, labels, value] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"backfill_throttle_rate_records_per_second", "", "120"},
           {"backfill_throttle_limit_records_per_second", "", "400"},
           {"backfill_throttle_state", R"(limited_by="Budget",WHO,state="Limited")", "1"},
           {"backfill_budget_pressure", R"(budget="p99",WHO)", "1.2"},
           {"backfill_budget_value", R"(budget="p99",WHO)", "0.3"},
           {"backfill_budget_bound", R"(budget="p99",WHO)", "0.25"},
           {"backfill_budget_bound", R"(budget="lag",WHO)", "10"},
           {"backfill_metric_age_seconds", R"(budget="p99",WHO)", "7"},
           {"backfill_metric_state", R"(budget="p99",WHO,state="Fresh")", "1"},
           {"backfill_metric_state", R"(budget="lag",WHO,state="Error")", "1"},
           {"backfill_metric_samples_discarded_total", R"(budget="lag",WHO,reason="implausible")",
            "3"},
           {"backfill_metric_samples_discarded_total",
            R"(budget="lag",WHO,reason="from_the_future")", "1"},
           {"backfill_throttle_cuts_total", R"(budget="p99",WHO)", "0"}})
    EXPECT_THAT(text, HasSubstr(Line(metric, labels, value)));
  EXPECT_THAT(text, Not(HasSubstr(R"(backfill_budget_value{budget="lag")")))
      << "what was never read is no number";
}

TEST_F(ThrottleMetricsTest, ACutIsCountedForTheBudgetThatBinds) {
  decision_.cut = true;
  Decide(), Decide();
  decision_.cut = false;
  Decide();
  decision_.cut = true;
  decision_.binding = 1;
  Decide();
  EXPECT_THAT(Text(), HasSubstr(Line("backfill_throttle_cuts_total", R"(budget="p99",WHO)", "2")));
  EXPECT_THAT(Text(), HasSubstr(Line("backfill_throttle_cuts_total", R"(budget="lag",WHO)", "1")));
}

TEST_F(ThrottleMetricsTest, AHoldIsCountedOnceHoweverLongItLasts) {
  EXPECT_THAT(Text(), Not(HasSubstr("holds_total")));
  DecideAs(GovernorState::kHeld, LimitedBy::kHold);
  DecideAs(GovernorState::kProbing, LimitedBy::kHold);
  DecideAs(GovernorState::kHeld, LimitedBy::kHold);
  DecideAs(GovernorState::kRamping, LimitedBy::kBudget);
  DecideAs(GovernorState::kHeld, LimitedBy::kHold);
  DecideAs(GovernorState::kHeld, LimitedBy::kMissingMetric);
  DecideAs(GovernorState::kYielding, LimitedBy::kBudget);
  const std::string holds = "backfill_throttle_holds_total";
  EXPECT_THAT(Text(), HasSubstr(Line(holds, R"(WHO,reason="CriticalHold")", "2")));
  EXPECT_THAT(Text(), HasSubstr(Line(holds, R"(WHO,reason="MetricUnavailable")", "1")));
  EXPECT_THAT(Text(), HasSubstr(Line(holds, R"(WHO,reason="TargetOverloadedByOthers")", "1")));
}

TEST_F(ThrottleMetricsTest, WhatIsLandingIsNotHeld) {
  DecideAs(GovernorState::kLanding, LimitedBy::kMissingMetric);
  EXPECT_THAT(Text(), Not(HasSubstr("holds_total")));
}

TEST_F(ThrottleMetricsTest, OnlyTheStateOfNowIsThere) {
  Decide();
  DecideAs(GovernorState::kSteady, LimitedBy::kMax);
  EXPECT_THAT(Text(), HasSubstr(R"(state="Steady")"));
  EXPECT_THAT(Text(), Not(HasSubstr(R"(state="Limited")")));
}

TEST_F(ThrottleMetricsTest, ABudgetThatIsTakenOutOfTheFileIsGone) {
  Decide();
  options_.budgets.pop_back();
  decision_.budgets.pop_back();
  Decide();
  EXPECT_THAT(Text(), Not(HasSubstr("lag")));
}

TEST_F(ThrottleMetricsTest, EachPartitionHasItsRateAndIsGoneWithIt) {
  metrics_.DecidedByPartition(b_, {.named = {{"eu", 5}}});
  EXPECT_THAT(Text(), Not(HasSubstr("partition"))) << "nothing was decided before";
  Decide();
  metrics_.DecidedByPartition(b_, {.named = {{"eu \"1\"", 5}, {"us", 80}}});
  EXPECT_THAT(Text(), HasSubstr("partition=\"us\"} 80\n"));
  EXPECT_THAT(Text(), HasSubstr(R"(partition="eu \"1\""} 5)"));
  metrics_.DecidedByPartition(b_, {.named = {{"us", 80}}});
  EXPECT_THAT(Text(), Not(HasSubstr("eu")));
}

TEST_F(ThrottleMetricsTest, NothingIsLeftOfWhatIsReleased) {
  Decide();
  metrics_.Released(b_);
  EXPECT_THAT(Text(), Not(HasSubstr("reprice")));
  metrics_.Released(b_);
}

TEST_F(ThrottleMetricsTest, AnotherUnderThatNameCountsFromZero) {
  decision_.cut = true;
  Decide();
  decision_.cut = false;
  b_.uid = "u-2";
  Decide();
  EXPECT_THAT(Text(), HasSubstr(Line("backfill_throttle_cuts_total", R"(budget="p99",WHO)", "0")));
}

TEST_F(ThrottleMetricsTest, OfTooManyTheRestIsNotPublished) {
  ThrottleMetrics few(1);
  few.Decided(b_, options_, decision_);
  b_.name = "second";
  few.Decided(b_, options_, decision_);
  for (const kube::MetricFamily& family : few.Collect())
    for (const kube::MetricSample& sample : family.samples)
      EXPECT_EQ(sample.labels.at("name"), "reprice") << family.name;
}

}  // namespace
}  // namespace backfill::metrics
