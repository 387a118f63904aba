#include "operator/reconcile/observed_budgets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <variant>

#include "tests/fakes/manual_clock.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

api::Budget Named(const std::string& name) {
  api::Budget budget;
  budget.name = name;
  budget.max = "1";
  return budget;
}

TEST(QueryOfTest, EachMetricIsAskedAsTheFileSays) {
  api::Budget budget = Named("p99");
  budget.reduce = api::Reduce::kMax;
  budget.prometheus = api::PrometheusMetric{"http://p:9090", "rate(a[1m])", "f", "prod", "1500ms"};
  EXPECT_EQ(std::get<observe::PrometheusQuery>(QueryOf(budget, "uid")),
            (observe::PrometheusQuery{.addresses = {"http://p:9090"},
                                      .query = "rate(a[1m])",
                                      .freshness_query = "f",
                                      .credentials = "prod",
                                      .timeout = 1500ms,
                                      .reduce = observe::Reduce::kMax}));
  budget = Named("s");
  budget.scrape =
      api::ScrapeMetric{"http://a/metrics", "x", api::ScrapeAs::kQuantile, "0.5", "", "2s"};
  budget.timing.window = "2m";
  const auto scrape = std::get<observe::ScrapeQuery>(QueryOf(budget, "uid"));
  EXPECT_EQ(scrape.as, observe::ScrapeAs::kQuantile);
  EXPECT_EQ(scrape.quantile, 0.5);
  EXPECT_EQ(scrape.window, 2min);
  EXPECT_EQ(scrape.timeout, 2s);
  budget = Named("h");
  budget.http = api::HttpMetric{"http://a/lag", "/seconds", "c", "3s"};
  EXPECT_EQ(std::get<observe::JsonQuery>(QueryOf(budget, "uid")),
            (observe::JsonQuery{"http://a/lag", "/seconds", "c", 3s}));
  budget = Named("w");
  budget.workers = api::WorkersMetric{api::WorkerSignal::kLatencyP99, "45s"};
  EXPECT_EQ(std::get<observe::WorkersQuery>(QueryOf(budget, "uid")),
            (observe::WorkersQuery{"uid", observe::WorkerSignal::kLatencyP99, 45s}));
}

class ObservedBudgetsTest : public testing::Test {
 protected:
  ObservedBudgetsTest() { b_.uid = "uid-1"; }
  fakes::ManualClock clock_;
  ObservedBudgets budgets_{{}, clock_};
  api::Backfill b_;
};

TEST_F(ObservedBudgetsTest, WithoutBudgetsNothingIsAskedAndNoThreadStarts) {
  EXPECT_TRUE(budgets_.Watch(b_).ok());
  EXPECT_THAT(budgets_.Latest("uid-1"), IsEmpty());
  budgets_.Forget("uid-1");
}

TEST_F(ObservedBudgetsTest, WhatCanNeverBeAnsweredIsRefusedWithItsField) {
  api::Budget budget = Named("s");
  budget.scrape = api::ScrapeMetric{"http://a/metrics", "no{selector", {}, "", "", "5s"};
  b_.spec.throttle.budgets = {budget};
  const Status watched = budgets_.Watch(b_);
  ASSERT_FALSE(watched.ok());
  EXPECT_EQ(watched.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(watched.error().message, HasSubstr("spec.throttle.budgets[0]: "));
}

TEST_F(ObservedBudgetsTest, EachBudgetHasAnObservationInItsOrderFromTheFirstMoment) {
  api::Budget a = Named("a"), b = Named("b");
  a.workers = api::WorkersMetric{};
  b.workers = api::WorkersMetric{api::WorkerSignal::kLatencyP99, "30s"};
  b_.spec.throttle.budgets = {a, b};
  ASSERT_TRUE(budgets_.Watch(b_).ok());
  EXPECT_THAT(budgets_.Latest("uid-1"), SizeIs(2));
  budgets_.Forget("uid-1");
  EXPECT_THAT(budgets_.Latest("uid-1"), IsEmpty());
}

}  // namespace
}  // namespace backfill::reconcile
