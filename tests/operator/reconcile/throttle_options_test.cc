#include "operator/reconcile/throttle_options.h"

#include <gtest/gtest.h>

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;

api::Throttle WithABudget(const char* max) {
  api::Throttle spec;
  spec.max_records_per_second = 10;
  api::Budget& budget = spec.budgets.emplace_back();
  budget.name = "a";
  budget.max = max;
  return spec;
}

TEST(GovernorOptionsTest, TheShortestIntervalOfAFileIsTaken) {
  api::Throttle spec = WithABudget("1");
  api::Budget& budget = spec.budgets.front();
  budget.workers = api::WorkersMetric{};
  budget.timing.interval = "250ms";
  EXPECT_TRUE(GovernorOptionsOf(spec).ok());
  budget.timing.interval = "249ms";
  EXPECT_FALSE(GovernorOptionsOf(spec).ok());
}

TEST(GovernorOptionsTest, TheWindowIsThatOfTheQueryUnlessItIsSaid) {
  api::Throttle spec = WithABudget("0.25");
  api::Budget& budget = spec.budgets.front();
  budget.prometheus = api::PrometheusMetric{"http://p", "rate(a[2m])", "", ""};
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].timing.window, 2min);
  budget.timing.window = "30s";
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].timing.window, 30s);
  budget.timing.window.clear();
  budget.prometheus.reset();
  budget.workers = api::WorkersMetric{api::WorkerSignal::kErrorRatio, "45s"};
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].timing.window, 45s);
}

TEST(GovernorOptionsTest, APresetFillsInWhatTheGovernorIsTold) {
  api::Throttle spec = WithABudget("0.80");
  api::Budget& budget = spec.budgets.front();
  budget.http = api::HttpMetric{.url = "http://a", .pointer = {}, .credentials = {}};
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].target, 0.85);
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].on_no_traffic, throttle::OnNoTraffic::kMissing);
  budget.preset = api::Preset::kUtilization;
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].target, 0.95);
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].critical, 0.9);
  budget.preset = api::Preset::kLatencyP99;
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].target, 0.70);
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].on_no_traffic, throttle::OnNoTraffic::kProbe);
  EXPECT_EQ(GovernorOptionsOf(spec)->budgets[0].critical, std::nullopt);
  for (const char* max : {"0.989", "0.98999999999999", "0.0000000000001", "99999999999999"}) {
    budget.preset = api::Preset::kUtilization;
    budget.max = max;
    EXPECT_TRUE(GovernorOptionsOf(spec).ok()) << max;
  }
}

TEST(GovernorOptionsTest, TheRenewalOfGrantsIsAPartOfTheDeadTime) {
  api::Throttle spec = WithABudget("1");
  api::Budget& budget = spec.budgets.front();
  budget.workers = api::WorkersMetric{};
  const Duration usual = throttle::DeadTime(*GovernorOptionsOf(spec));
  spec.grants = {"45s", "12s"};
  EXPECT_EQ(throttle::DeadTime(*GovernorOptionsOf(spec)), usual + 7s);
}

TEST(GrantTimesTest, TheDefaultsOfTheFileAreOurs) {
  EXPECT_EQ(GrantTimesOf({}), throttle::GrantTimes{});
  EXPECT_EQ(GrantTimesOf({"45s", "1500ms"}), (throttle::GrantTimes{45s, 1500ms}));
  EXPECT_EQ(GrantTimesOf({"9h", "x"}), (throttle::GrantTimes{50s, 5s}))
      << "which the schema refuses";
}

TEST(GovernorOptionsTest, DefaultsOfTheFileAreThoseOfTheGovernor) {
  api::Throttle spec;
  spec.max_records_per_second = 10;
  const throttle::GovernorOptions ours = *GovernorOptionsOf(spec);
  throttle::GovernorOptions theirs;
  EXPECT_EQ(ours.floor, theirs.floor);
  EXPECT_EQ(ours.hold.duration, theirs.hold.duration);
  EXPECT_EQ(ours.hold.max_duration, theirs.hold.max_duration);
  EXPECT_EQ(ours.hold.confirmations, theirs.hold.confirmations);
  EXPECT_EQ(ours.hold.good_samples, theirs.hold.good_samples);
  EXPECT_EQ(ours.hold.resume_factor, theirs.hold.resume_factor);
  EXPECT_EQ(ours.hold.pause_after, theirs.hold.pause_after);
  EXPECT_EQ(ours.missing.land_every, theirs.missing.land_every);
  EXPECT_EQ(ours.missing.after, theirs.missing.after);
  EXPECT_EQ(ours.initial, theirs.initial);
  EXPECT_EQ(ours.dead_time, theirs.dead_time);
}

TEST(GovernorOptionsTest, WhatTheGovernorWouldNotTakeIsAnError) {
  api::Throttle spec;
  spec.max_records_per_second = 10;
  spec.min_records_per_second = 50;  // the schema refuses it
  const auto options = GovernorOptionsOf(spec);
  EXPECT_TRUE(options.ok() || options.error().code == ErrorCode::kInvalid);
  spec.min_records_per_second = 1;
  api::Budget& budget = spec.budgets.emplace_back();
  budget.name = "a";
  budget.max = "0";
  EXPECT_FALSE(GovernorOptionsOf(spec).ok()) << "a bound of nothing";
}

}  // namespace
}  // namespace backfill::reconcile
