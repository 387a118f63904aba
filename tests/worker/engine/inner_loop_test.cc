#include "worker/engine/inner_loop.h"

#include <gtest/gtest.h>

#include <limits>

namespace backfill::worker {
namespace {

class InnerLoopTest : public testing::Test {
 protected:
  // So many answers a second, each after that long.
  void Answers(Duration lasts, Duration latency, int a_second = 20, bool refused = false) {
    const Duration gap = Duration(1s) / a_second;
    for (const Time until = now_ + lasts; now_ < until; now_ += gap)
      loop_.OnAnswer(1, latency, refused, now_);
    loop_.Tick(now_);
  }
  void WarmUp() { Answers(31s, 100ms); }

  Time now_{1h};
  InnerLoop loop_;
};

TEST_F(InnerLoopTest, HoldsNothingBackBeforeItKnowsWhatIsUsual) {
  EXPECT_EQ(loop_.share(), 1);
  Answers(10s, 100ms);
  Answers(10s, 1s);
  EXPECT_EQ(loop_.share(), 1);
  EXPECT_EQ(loop_.usual(), 0);
}

TEST_F(InnerLoopTest, WhatIsUsualBeginsAsTheMeanOfTheFirstHalfMinute) {
  Answers(16s, 50ms);
  Answers(16s, 150ms);
  EXPECT_NEAR(loop_.usual(), 0.1, 0.005);
}

TEST_F(InnerLoopTest, ATenthOfTheSpeedIsASixtyFourthOfTheRateWithinSeconds) {
  WarmUp();
  EXPECT_EQ(loop_.share(), 1);
  loop_.OnTargetPressure(2);
  Answers(2s, 1s);
  EXPECT_LT(loop_.share(), 0.1) << "two seconds";
  Answers(8s, 1s);
  EXPECT_NEAR(loop_.share(), 0.0156, 0.003) << "(1.25 x 0.1 / 1)^2";
}

TEST_F(InnerLoopTest, ALittleSlowerThanUsualIsNothing) {
  WarmUp();
  Answers(10s, 124ms);
  EXPECT_EQ(loop_.share(), 1);
}

TEST_F(InnerLoopTest, WhatTheMachineAddsToAFastTargetIsNothing) {
  Answers(31s, 1ms);
  Answers(10s, 20ms);
  EXPECT_EQ(loop_.share(), 1) << "twenty times as slow, and yet fast";
  Answers(10s, 40ms);
  EXPECT_LT(loop_.share(), 0.5);
}

TEST_F(InnerLoopTest, ComesBackByItself) {
  WarmUp();
  Answers(20s, 1s);
  ASSERT_LT(loop_.share(), 0.1);
  Answers(10s, 100ms);
  EXPECT_EQ(loop_.share(), 1);
}

TEST_F(InnerLoopTest, ComesBackWithTheFirstGoodAnswersAlsoWhenFewAreSent) {
  WarmUp();
  Answers(20s, 5s);
  now_ += 8s;
  loop_.OnAnswer(1, 100ms, false, now_);
  now_ += 8s;
  loop_.Tick(now_);
  EXPECT_GT(loop_.share(), 0.7) << "one answer after such a time speaks for all of it";
}

TEST_F(InnerLoopTest, AnOverloadDoesNotBecomeUsualWhileTheBudgetIsExceeded) {
  WarmUp();
  loop_.OnTargetPressure(1.2);
  Answers(10min, 300ms);
  EXPECT_NEAR(loop_.usual(), 0.1, 0.001);
  EXPECT_LT(loop_.share(), 0.2);
}

TEST_F(InnerLoopTest, APressureThatIsNoNumberIsNoneToLearnUnder) {
  loop_.OnTargetPressure(std::numeric_limits<double>::quiet_NaN());
  WarmUp();
  EXPECT_EQ(loop_.usual(), 0);
}

TEST_F(InnerLoopTest, WhatLastsWithinTheBudgetBecomesUsual) {
  WarmUp();
  loop_.OnTargetPressure(0.9);
  Answers(20min, 300ms);
  EXPECT_NEAR(loop_.usual(), 0.3, 0.01);
  EXPECT_EQ(loop_.share(), 1);
}

TEST_F(InnerLoopTest, WithoutHeadroomLatencyIsNotLookedAt) {
  loop_.SetHeadroom(0);
  WarmUp();
  Answers(10s, 5s);
  EXPECT_EQ(loop_.share(), 1);
}

TEST_F(InnerLoopTest, AHalfRefusedIsAlmostAHalfHeldBack) {
  for (int i = 0; i < 30; ++i) {
    Answers(500ms, 1ms, 20);
    Answers(500ms, 1ms, 20, true);
  }
  EXPECT_NEAR(loop_.held_by_refusals(), 0.45, 0.02);
}

TEST_F(InnerLoopTest, ARefusalInElevenIsNothing) {
  for (int i = 0; i < 60; ++i) {
    Answers(950ms, 1ms, 20);
    Answers(50ms, 1ms, 20, true);
  }
  EXPECT_EQ(loop_.held_by_refusals(), 0);
}

TEST_F(InnerLoopTest, EvenIfAllIsRefusedATwentiethIsSentToSeeWhenItIsOver) {
  Answers(1min, 1ms, 20, true);
  EXPECT_DOUBLE_EQ(loop_.held_by_refusals(), InnerLoop::kMostRefused);
}

TEST_F(InnerLoopTest, RefusalsAreForgottenAfterHalfAMinute) {
  Answers(30s, 1ms, 20, true);
  ASSERT_GT(loop_.held_by_refusals(), 0.9);
  Answers(31s, 1ms, 1);
  EXPECT_EQ(loop_.held_by_refusals(), 0);
  Answers(30s, 1ms, 20, true);
  now_ += 31s;
  loop_.Tick(now_);
  EXPECT_EQ(loop_.held_by_refusals(), 0) << "also without an answer";
}

TEST_F(InnerLoopTest, AQuickRefusalDoesNotMakeASlowTargetLookFast) {
  WarmUp();
  Answers(10s, 1s);
  const double before = loop_.held_by_latency();
  Answers(10s, 1ms, 20, true);
  EXPECT_GE(loop_.held_by_latency(), before);
}

TEST_F(InnerLoopTest, ATimeoutIsTheLatencyThatMatters) {
  WarmUp();
  Answers(10s, 5s, 20, true);
  EXPECT_GT(loop_.held_by_latency(), 0.9);
}

}  // namespace
}  // namespace backfill::worker
