#include "operator/throttle/alarm.h"

#include <gtest/gtest.h>

#include <limits>

namespace backfill::throttle {
namespace {

class AlarmTest : public testing::Test {
 protected:
  bool Says(double value, Duration at, Answer answer = Answer::kValue) {
    observations_[0] = {.answer = answer, .value = value, .time = Time(at), .detail = ""};
    return alarm_.Rings(budgets_, observations_);
  }
  std::vector<Budget> budgets_{{.name = "p99", .bound = 0.25}, {.name = "lag", .bound = 10}};
  std::vector<Observation> observations_ = std::vector<Observation>(2);
  Alarm alarm_;
};

TEST_F(AlarmTest, RingsOnceForEachNewSampleOverItsBudget) {
  EXPECT_FALSE(Says(0.2, 1s));
  EXPECT_FALSE(Says(0.25, 2s)) << "on it is not over it";
  EXPECT_TRUE(Says(0.26, 3s));
  EXPECT_FALSE(Says(0.26, 3s));
  EXPECT_TRUE(Says(0.26, 4s));
  EXPECT_FALSE(Says(0.2, 5s));
}

TEST_F(AlarmTest, RingsBelowAMinimum) {
  budgets_[0] = {.name = "free", .direction = Direction::kMin, .bound = 0.9};
  EXPECT_FALSE(Says(0.95, 1s));
  EXPECT_TRUE(Says(0.8, 2s));
}

TEST_F(AlarmTest, EachBudgetRingsForItself) {
  EXPECT_TRUE(Says(0.3, 1s));
  observations_[1] = {.answer = Answer::kValue, .value = 11, .time = Time(1s), .detail = ""};
  EXPECT_TRUE(alarm_.Rings(budgets_, observations_));
  EXPECT_FALSE(alarm_.Rings(budgets_, observations_));
}

TEST_F(AlarmTest, WhatIsOnlyWatchedOrIsNoNumberDoesNotRing) {
  EXPECT_FALSE(Says(9, 1s, Answer::kError));
  EXPECT_FALSE(Says(9, 1s, Answer::kNoData));
  EXPECT_FALSE(Says(std::numeric_limits<double>::quiet_NaN(), 2s));
  EXPECT_FALSE(Says(std::numeric_limits<double>::infinity(), 3s));
  budgets_[0].enforce = false;
  EXPECT_FALSE(Says(9, 4s));
}

TEST_F(AlarmTest, BudgetsMayComeAndGo) {
  EXPECT_TRUE(Says(0.3, 1s));
  budgets_.pop_back();
  EXPECT_TRUE(Says(0.3, 2s));
  observations_.clear();
  EXPECT_FALSE(alarm_.Rings(budgets_, observations_));
}

}  // namespace
}  // namespace backfill::throttle
