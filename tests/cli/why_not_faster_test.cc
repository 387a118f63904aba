#include "cli/why_not_faster.h"

#include <gtest/gtest.h>

#include "operator/api/conditions.h"

namespace backfill::cli {
namespace {

class WhyNotFasterTest : public testing::Test {
 protected:
  WhyNotFasterTest() {
    status_.phase = api::Phase::kRunning;
    status_.rate = api::RateStatus{.current = 40, .limit = 500, .limited_by = "Max"};
    status_.workers = api::WorkersStatus{.desired = 3, .connected = 3};
  }
  std::string By(const std::string& limited_by) {
    status_.rate->limited_by = limited_by;
    return WhyNotFaster(status_);
  }
  void WorkersSay(const std::string& message) {
    status_.conditions.push_back({.type = "Ready",
                                  .status = api::ConditionStatus::kTrue,
                                  .reason = "Running",
                                  .message = message,
                                  .observed_generation = 1,
                                  .last_transition_time = ""});
  }
  api::Status status_;
};

TEST_F(WhyNotFasterTest, ThePlanner) {
  status_.phase = api::Phase::kPlanning;
  EXPECT_EQ(WhyNotFaster(status_), "it is being planned: nothing is sent yet");
}

TEST_F(WhyNotFasterTest, PeopleAndTheClock) {
  EXPECT_EQ(By("Pause"), "it is paused");
  status_.throttle.emplace().reason = "outside of its windows until 22:00";
  EXPECT_EQ(By("Schedule"), "the schedule: outside of its windows until 22:00");
  status_.throttle->reason = "incident 4711";
  EXPECT_EQ(By("Override"), "a person has set the rate: incident 4711");
}

TEST_F(WhyNotFasterTest, TheGrantWithTheBudgetThatBinds) {
  EXPECT_EQ(By("Max"), "it may send 500/s and no more (throttle.maxRecordsPerSecond)");
  api::ThrottleStatus& throttle = status_.throttle.emplace();
  throttle.budgets = {{"lag", 1.0, 0.1, "Fresh", 2}, {"p99", 0.31, 1.24, "Fresh", 8}};
  throttle.binding_budget = "p99";
  EXPECT_EQ(By("Budget"), "the budget p99: 0.31, 124 % of it, Fresh, 8 s old");
  throttle.binding_budget = "errors";
  EXPECT_EQ(By("Budget"), "the budget errors") << "not among those shown";
  throttle.reason = "p99 0.62 over 0.5";
  EXPECT_EQ(By("Hold"), "a budget was critical: p99 0.62 over 0.5");
  throttle.reason = "group orders-db, shared with 1 other";
  EXPECT_EQ(By("Group"), "others of its group have the rest: group orders-db, shared with 1 other");
  throttle.reason = "lag: no answer";
  EXPECT_EQ(By("MissingMetric"), "a metric cannot be read: lag: no answer");
}

TEST_F(WhyNotFasterTest, TheTargetAsTheWorkersSeeIt) {
  WorkersSay("2 of 3 workers send less than they may: the target is 5 times slower than usual");
  EXPECT_EQ(By("TargetLatency"),
            "the target is slow: 2 of 3 workers send less than they may: the target is 5 times "
            "slower than usual");
  status_.conditions.clear();
  WorkersSay("retries are as many as they may be");
  EXPECT_EQ(By("TargetRefusals"), "the target refuses: retries are as many as they may be");
  EXPECT_EQ(By("TargetUnreachable"), "the target cannot be reached");
}

TEST_F(WhyNotFasterTest, TheWorkers) {
  EXPECT_EQ(By("Workers"),
            "the workers send as much as they can; more of them, or more concurrency, would send "
            "more");
  status_.workers->connected = 2;
  EXPECT_EQ(By("Workers"), "2 of 3 workers are connected, and send as much as they can");
  status_.workers->connected = 0;
  EXPECT_EQ(By("Workers"), "no worker is connected");
}

TEST_F(WhyNotFasterTest, ADryRunThatSendsNothingHasNoLimit) {
  status_.phase = api::Phase::kDryRunning;
  status_.rate->limit = 0;
  EXPECT_EQ(By("Workers"), "");
}

TEST_F(WhyNotFasterTest, WhatHasEndedRestsOrHasNotBegunIsNotSlow) {
  for (const api::Phase phase :
       {api::Phase::kPending, api::Phase::kAwaitingApproval, api::Phase::kPaused,
        api::Phase::kCompleted, api::Phase::kFailed, api::Phase::kCancelled}) {
    status_.phase = phase;
    EXPECT_EQ(WhyNotFaster(status_), "");
  }
  status_.phase.reset();
  EXPECT_EQ(WhyNotFaster(status_), "");
}

TEST_F(WhyNotFasterTest, LetsNoControlCharacterThrough) {
  status_.throttle.emplace().reason = "\x1b[31mred";
  for (const char* limit : {"Schedule", "Override", "Budget", "Hold", "\x1b[31m"})
    EXPECT_EQ(By(limit).find('\x1b'), std::string::npos) << limit;
}

}  // namespace
}  // namespace backfill::cli
