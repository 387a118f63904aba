#include "operator/reconcile/observed_budgets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
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

// What is over its budget must not wait for whoever looks now and then.
class AlarmedBudgetsTest : public testing::Test {
 protected:
  AlarmedBudgetsTest() {
    b_.ns = "shop";
    b_.name = "reprice";
    b_.uid = "uid-1";
    b_.spec.throttle.max_records_per_second = 10;
    api::Budget& budget = b_.spec.throttle.budgets.emplace_back();
    budget.name = "errors";
    budget.max = "0.1";
    budget.workers = api::WorkersMetric{};
  }
  void WorkersRetry(std::uint64_t retries) {
    const auto signals = budgets_.signals().Of(b_.uid);
    signals->Report("run-0/i", {.attempts = 100}, clock_.Steady());
    signals->Report("run-0/i", {.attempts = 200, .retries = retries}, clock_.Steady());
  }

  SystemClock clock_;
  std::promise<std::string> alarm_;
  std::atomic<int> alarms_{0};
  ObservedBudgets budgets_{{.on_alarm =
                                [this](const std::string& ns, const std::string& name) {
                                  if (alarms_++ == 0) alarm_.set_value(ns + "/" + name);
                                }},
                           clock_};
  api::Backfill b_;
};

TEST_F(AlarmedBudgetsTest, ASampleOverItsBudgetIsToldWithTheBackfill) {
  WorkersRetry(50);
  ASSERT_TRUE(budgets_.Watch(b_).ok());
  auto told = alarm_.get_future();
  ASSERT_EQ(told.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(told.get(), "shop/reprice");
}

TEST_F(AlarmedBudgetsTest, OneWithinItIsNot) {
  WorkersRetry(5);
  ASSERT_TRUE(budgets_.Watch(b_).ok());
  while (budgets_.Latest(b_.uid).at(0).answer != throttle::Answer::kValue)
    std::this_thread::yield();
  budgets_.Stop();
  EXPECT_EQ(alarms_, 0);
}

}  // namespace
}  // namespace backfill::reconcile
