#include "operator/reconcile/observed_budgets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
