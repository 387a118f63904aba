#include "tests/operator/throttle/governor_fixture.h"

// Steps 2 and 3: what happens at critical.
namespace backfill::throttle {
namespace {

using testing::Contains;
using testing::ElementsAre;

class CriticalHoldTest : public GovernorTest {
 protected:
  // From a rate of 400 that was there for a while.
  void Run() {
    StartAt(400);
    Metric(85);
    For(100s);
  }
  void GoCritical() { TickWith(210), TickWith(210); }
  void RecoverAfter(Duration d) {
    Metric(50);
    For(d);
  }
};

TEST_F(CriticalHoldTest, HoldsOnTwoSamplesInARow) {
  Run();
  EXPECT_GT(TickWith(210).rate, 0) << "a single one is a cut";
  EXPECT_TRUE(last_.cut);
  EXPECT_EQ(TickWith(210).rate, 0);
  EXPECT_EQ(last_.state, GovernorState::kHeld);
  EXPECT_EQ(last_.limited_by, LimitedBy::kHold);
  EXPECT_EQ(last_.throttled, ThrottledReason::kCriticalHold);
  EXPECT_EQ(last_.message, "p99 210 over 100, critical");
  EXPECT_THAT(Told(), Contains(TransitionKind::kCriticalHold));
  EXPECT_EQ(last_.holds, 1);
}

TEST_F(CriticalHoldTest, TheSameSampleTwiceIsNotTwoSamples) {
  Run();
  TickWith(210);
  StandStill();
  EXPECT_GT(Ticks(2).rate, 0);
}

TEST_F(CriticalHoldTest, OneSampleFarBeyondIsEnough) {
  Run();
  EXPECT_EQ(TickWith(300).rate, 0);
}

TEST_F(CriticalHoldTest, WithoutACriticalValueItIsAtTwiceTheBudget) {
  GovernorOptions options = OneBudget();
  options.budgets[0].critical.reset();
  StartAt(100, options);
  TickWith(199), TickWith(199);
  EXPECT_GT(rate(), 0);
  TickWith(200), TickWith(200);
  EXPECT_EQ(rate(), 0);
}

TEST_F(CriticalHoldTest, EndsAfterItsTimeWithThreeGoodSamples) {
  Run();
  GoCritical();
  const double before = governor_->memory().before_hold;
  EXPECT_GT(before, 350) << "what was sent in the last dead time, not what a first cut left of it";
  RecoverAfter(50s);
  EXPECT_EQ(rate(), 0);
  EXPECT_NEAR(Tick().rate, before / 4, 1e-9);
  EXPECT_NEAR(last_.last_good.value_or(0), before / 2, 1e-9);
}

TEST_F(CriticalHoldTest, GoesOnUntilThreeSamplesInARowAreGood) {
  Run();
  GoCritical();
  Metric(95);
  For(300s);
  EXPECT_EQ(rate(), 0);
  TickWith(50), TickWith(50), TickWith(95), TickWith(50), TickWith(50);
  EXPECT_EQ(rate(), 0);
  EXPECT_GT(TickWith(50).rate, 0);
}

TEST_F(CriticalHoldTest, ItsTimeBeginsAnewWhileCriticalLasts) {
  Run();
  GoCritical();
  For(300s);
  RecoverAfter(50s);
  EXPECT_EQ(rate(), 0);
  EXPECT_GT(Tick().rate, 0);
  EXPECT_EQ(last_.holds, 1) << "it is one hold";
}

TEST_F(CriticalHoldTest, EachOneInARowIsTwiceAsLongAndComesBackAtHalfTheRate) {
  Run();
  double share = 0.25;
  Duration length = 60s;
  for (int n = 1; n <= 4; ++n) {
    GoCritical();
    const double before = governor_->memory().before_hold;
    EXPECT_EQ(last_.holds, n);
    RecoverAfter(length - kTick);
    EXPECT_EQ(rate(), 0) << n;
    EXPECT_NEAR(Tick().rate, std::max(5.0, before * share), 1e-9) << n;
    share /= 2;
    length *= 2;
  }
}

TEST_F(CriticalHoldTest, HalfAnHourLaterItIsTheFirstAgain) {
  Run();
  GoCritical();
  RecoverAfter(30min);
  GoCritical();
  EXPECT_EQ(last_.holds, 1);
}

TEST_F(CriticalHoldTest, TheFifthInARowAsksForAPerson) {
  Run();
  for (int n = 1; n <= 5; ++n) {
    EXPECT_FALSE(last_.ask_for_pause);
    GoCritical();
    if (n < 5) RecoverAfter(60s * (1 << (n - 1)));
  }
  EXPECT_TRUE(last_.ask_for_pause);
  EXPECT_EQ(last_.stalled, StalledReason::kRepeatedCriticalHolds);

  inputs_.paused = true;
  Tick();
  EXPECT_FALSE(last_.ask_for_pause);
  EXPECT_EQ(last_.state, GovernorState::kPaused);
  inputs_.paused = false;
  Tick();
  EXPECT_FALSE(last_.ask_for_pause) << "they have resumed it";
  EXPECT_EQ(last_.stalled, StalledReason::kNone);
}

TEST_F(CriticalHoldTest, PausesAtTheFirstWhereItIsSaidTo) {
  GovernorOptions options = OneBudget();
  options.hold.on_critical = OnCritical::kPause;
  StartAt(100, options);
  GoCritical();
  EXPECT_TRUE(last_.ask_for_pause);
}

TEST_F(CriticalHoldTest, DoesNotEndWhileARequiredMetricIsMissing) {
  Run();
  GoCritical();
  Says(Answer::kError);
  For(10min);
  EXPECT_EQ(rate(), 0);
  Metric(50);
  Ticks(2);
  EXPECT_EQ(rate(), 0);
  EXPECT_GT(Tick().rate, 0);
}

TEST_F(CriticalHoldTest, AnOptionalMetricThatWasCriticalAndVanishedProvesNothing) {
  GovernorOptions options = OneBudget();
  options.budgets[0].required = false;
  StartAt(100, options);
  GoCritical();
  Says(Answer::kNoData);
  EXPECT_EQ(For(20min).rate, 0);
}

TEST_F(CriticalHoldTest, IsProbedWhereTheMetricNeedsTraffic) {
  GovernorOptions options = OneBudget();
  options.budgets[0].on_no_traffic = OnNoTraffic::kProbe;
  StartAt(100, options);
  GoCritical();
  Says(Answer::kNotANumber);
  For(50s);
  EXPECT_EQ(rate(), 0);
  Tick();
  EXPECT_EQ(rate(), 5);
  EXPECT_EQ(last_.state, GovernorState::kProbing);
  Metric(50);
  Ticks(2);
  EXPECT_EQ(rate(), 0) << "no probe while the metric is there";
  EXPECT_NEAR(Tick().rate, governor_->memory().before_hold / 4, 1e-9);
}

}  // namespace
}  // namespace backfill::throttle
