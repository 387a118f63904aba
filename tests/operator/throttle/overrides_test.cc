#include "tests/operator/throttle/governor_fixture.h"

// People, clock and schedule: pause > blackout > critical hold > metric hold > override > schedule
// > governor. Also what outlives the process.
namespace backfill::throttle {
namespace {

using testing::Contains;

class OverridesTest : public GovernorTest {
 protected:
  void Run(double rate = 400) {
    StartAt(rate);
    Metric(85);
    For(100s);
  }
};

TEST_F(OverridesTest, APauseIsZeroAndAResumeComesBackWithCare) {
  Run();
  inputs_.paused = true;
  EXPECT_EQ(For(20min).rate, 0);
  EXPECT_EQ(last_.state, GovernorState::kPaused);
  EXPECT_EQ(last_.limited_by, LimitedBy::kPause);
  inputs_.paused = false;
  EXPECT_NEAR(Tick(1s).rate, 100, 1e-9);
  EXPECT_NEAR(*last_.last_good, 200, 2);
}

TEST_F(OverridesTest, ABlackoutIsAPauseByTheClock) {
  Run();
  inputs_.blackout = true;
  EXPECT_EQ(Tick().rate, 0);
  EXPECT_EQ(last_.state, GovernorState::kBlackout);
  EXPECT_EQ(last_.limited_by, LimitedBy::kSchedule);
  inputs_.paused = true;
  EXPECT_EQ(Tick().limited_by, LimitedBy::kPause) << "a pause goes before";
}

TEST_F(OverridesTest, BeforeTheFirstRecordAPauseTakesNothing) {
  inputs_.paused = true;
  StartAt(100);
  Tick();
  inputs_.paused = false;
  EXPECT_EQ(TickWith(85).rate, 100);
}

TEST_F(OverridesTest, FallsToZeroOverThreeTicksBeforeABoundary) {
  Run(300);
  Sends(300);
  inputs_.closes_in = 31s;
  EXPECT_EQ(Tick().rate, 300);
  inputs_.closes_in = 30s;
  EXPECT_NEAR(TickWith(50).rate, 200, 1e-9);
  inputs_.closes_in = 20s;
  EXPECT_NEAR(Tick().rate, 100, 1e-9);
  inputs_.closes_in = 10s;
  EXPECT_EQ(Tick().rate, 0);
  inputs_.blackout = true;
  For(60s);
  inputs_.blackout = false;
  inputs_.closes_in.reset();
  EXPECT_NEAR(Tick().rate, 75, 1e-9) << "a resume after the rate before";
}

TEST_F(OverridesTest, APinGoesBeyondBudgetsAndScheduleButNotBeyondTheMaximum) {
  Run(100);
  inputs_.window_limit = 200;
  inputs_.pin = Pin{.records_per_second = 500};
  EXPECT_EQ(TickWith(150).rate, 500);
  EXPECT_EQ(last_.state, GovernorState::kOverridden);
  EXPECT_EQ(last_.limited_by, LimitedBy::kOverride);
  EXPECT_THAT(Told(), Contains(TransitionKind::kRateOverridden));
  EXPECT_EQ(last_.pressure, 1.5) << "watched all the same";
  inputs_.pin->records_per_second = 1e6;
  EXPECT_EQ(Tick().rate, 600);
  inputs_.cap = 50;
  EXPECT_EQ(Tick().rate, 50) << "the lower of both applies";
}

TEST_F(OverridesTest, AfterAPinItGoesOnFromTheRateBeforeOrWhatWasSent) {
  Run(100);
  inputs_.pin = Pin{.records_per_second = 500};
  For(60s);
  inputs_.pin.reset();
  EXPECT_NEAR(Tick().rate, 100, 1e-9);
  inputs_.pin = Pin{.records_per_second = 500};
  Sends(20);
  For(60s);
  inputs_.pin.reset();
  EXPECT_NEAR(Tick().rate, 20, 1e-9);
}

TEST_F(OverridesTest, CriticalHoldsAPin) {
  Run(100);
  inputs_.pin = Pin{.records_per_second = 500};
  TickWith(210), TickWith(210);
  EXPECT_EQ(rate(), 0);
  EXPECT_EQ(last_.state, GovernorState::kHeld);
}

TEST_F(OverridesTest, BreakingTheGlassPassesCritical) {
  Run(100);
  TickWith(210), TickWith(210);
  ASSERT_EQ(rate(), 0);
  inputs_.pin = Pin{.records_per_second = 500, .break_glass = true};
  EXPECT_EQ(Tick().rate, 500);
  EXPECT_EQ(last_.state, GovernorState::kOverridden);
  EXPECT_EQ(last_.limited_by, LimitedBy::kOverride) << "it is not held";
  EXPECT_EQ(last_.holds, 1) << "and counts no further hold";
  inputs_.pin.reset();
  EXPECT_EQ(Tick().rate, 0) << "the hold is still there";
}

TEST_F(OverridesTest, AMetricThatIsMissingForLongHoldsAPin) {
  Run(100);
  inputs_.pin = Pin{.records_per_second = 500};
  Says(Answer::kError);
  EXPECT_EQ(For(5min).rate, 500);
  EXPECT_EQ(Tick().rate, 0);
  EXPECT_EQ(last_.limited_by, LimitedBy::kMissingMetric);
}

TEST_F(OverridesTest, APauseGoesBeforeBrokenGlass) {
  Run(100);
  inputs_.pin = Pin{.records_per_second = 500, .break_glass = true};
  inputs_.paused = true;
  EXPECT_EQ(Tick().rate, 0);
}

TEST_F(OverridesTest, AHoldStaysAHoldOverAPause) {
  Run();
  TickWith(210), TickWith(210);
  inputs_.paused = true;
  Metric(50);
  For(5min);
  inputs_.paused = false;
  const double before = governor_->memory().before_hold;
  EXPECT_NEAR(Tick().rate, before / 4, 1e-9);
}

class RestoreTest : public OverridesTest {
 protected:
  void Restart(Duration away = 60s) {
    const SavedGovernor saved = governor_->Save(now_, wall_);
    now_ += away;
    governor_ = Governor::Restore(governor_->options(), saved, now_,
                                  wall_ + std::chrono::duration_cast<WallTime::duration>(away));
  }
  // Workers say what they still have; then that time is over.
  Decision TickAfterReports(double granted) {
    inputs_.reported = granted;
    Tick();
    inputs_.reported.reset();
    return Tick();
  }
  WallTime wall_{std::chrono::seconds(1'800'000'000)};
};

TEST_F(RestoreTest, GoesOnAtWhatWorkersStillHave) {
  Run();
  Restart();
  EXPECT_NEAR(TickAfterReports(400).rate, 400, 1e-9);
  Restart();
  EXPECT_NEAR(TickAfterReports(150).rate, 150, 1e-9);
  Restart();
  EXPECT_NEAR(TickAfterReports(1e6).rate, 150, 1e-9) << "never more than was saved";
}

TEST_F(RestoreTest, UntilAllIsReportedItGrantsWhatThereWillBeAndRaisesNothing) {
  Run();
  Restart();
  Metric(10);
  inputs_.reported = 0;
  EXPECT_NEAR(Tick().rate, 100, 1e-9) << "what there would be if that were all";
  inputs_.reported = 250;
  EXPECT_NEAR(Tick().rate, 250, 1e-9);
  inputs_.reported = 390;
  EXPECT_NEAR(Ticks(3).rate, 390, 1e-9);
  inputs_.reported.reset();
  EXPECT_NEAR(Tick().rate, 390, 1e-9);
  EXPECT_GT(For(2min).rate, 390) << "from then on as ever";
}

TEST_F(RestoreTest, UntilAllIsReportedACutStillCuts) {
  Run();
  Restart();
  inputs_.reported = 400;
  TickWith(210), TickWith(210);
  EXPECT_EQ(rate(), 0) << "critical";
  inputs_.reported.reset();
  EXPECT_EQ(TickWith(150).rate, 0) << "the hold goes on";
}

TEST_F(RestoreTest, IsAResumeWhenAllGrantsHaveExpired) {
  Run();
  Restart();
  EXPECT_NEAR(Tick().rate, 100, 1e-9);
  Restart();
  EXPECT_NEAR(TickAfterReports(0).rate, 25, 1e-9);
}

TEST_F(RestoreTest, IsAResumeWhenMostGrantsHaveExpired) {
  Run();
  Restart();
  EXPECT_NEAR(TickAfterReports(30).rate, 100, 1e-9) << "one worker of many has come back";
}

TEST_F(RestoreTest, APauseBeforeAllIsReportedIsOneResumeAndNotTwo) {
  Run();
  Restart();
  inputs_.reported = 400;
  Tick();
  inputs_.paused = true;
  inputs_.reported = 0;
  Tick();
  inputs_.paused = false;
  Tick();
  inputs_.reported.reset();
  EXPECT_NEAR(Tick().rate, 100, 1e-9);
}

TEST_F(RestoreTest, AHoldGoesOnAndTheNextOneIsLonger) {
  Run();
  TickWith(210), TickWith(210);
  const double before = governor_->memory().before_hold;
  Restart(10s);
  Metric(50);
  For(40s);
  EXPECT_EQ(rate(), 0);
  EXPECT_NEAR(Tick().rate, before / 4, 1e-9);
  TickWith(210), TickWith(210);
  EXPECT_EQ(last_.holds, 2);
}

TEST_F(RestoreTest, AClockThatWasSetBackMakesNothingYounger) {
  Run();
  TickWith(210), TickWith(210);
  Restart(-1h + 1h);
  EXPECT_EQ(Tick().rate, 0);
}

TEST_F(RestoreTest, WhatWasSavedMayBeNonsense) {
  const SavedGovernor saved{.rate = NAN,
                            .last_good = -1,
                            .ceiling = -5,
                            .holds = -3,
                            .before_hold = INFINITY,
                            .held_since = WallTime::max(),
                            .last_critical = WallTime::min()};
  governor_ = Governor::Restore(OneBudget(), saved, now_, wall_);
  inputs_.observations.resize(1);
  Metric(50);
  for (int i = 0; i < 100; ++i) {
    Tick();
    EXPECT_GE(rate(), 0);
    EXPECT_LE(rate(), 600);
  }
}

TEST(ReconfigureTest, WhatIsKnownOfABudgetStaysWithItsName) {
  GovernorOptions options = OneBudget();
  Governor governor(options);
  const Time now{1h};
  Inputs inputs;
  inputs.observations = {{.answer = Answer::kValue, .value = 50, .time = now, .detail = ""}};
  governor.Step(inputs, now);
  options.budgets.insert(options.budgets.begin(), BudgetNamed("cpu"));
  options.budgets.push_back(BudgetNamed("lag"));
  governor.Reconfigure(options);
  EXPECT_FALSE(governor.memory().budgets[0].value);
  EXPECT_EQ(governor.memory().budgets[1].value, 50);
  options.budgets[1].bound = 70;
  governor.Reconfigure(options);
  EXPECT_FALSE(governor.memory().budgets[1].value) << "of another bound it says nothing";
}

TEST(GovernorOptionsTest, SaysWhatIsWrong) {
  const auto problem = [](auto change) {
    GovernorOptions options = OneBudget();
    change(options);
    return options.Validate();
  };
  EXPECT_EQ(problem([](auto&) {}), "");
  EXPECT_NE(problem([](auto& o) { o.max_records_per_second = NAN; }), "");
  EXPECT_NE(problem([](auto& o) { o.floor = 601; }), "");
  EXPECT_NE(problem([](auto& o) { o.initial = 4; }), "");
  EXPECT_NE(problem([](auto& o) { o.budgets[0].bound = 0; }), "");
  EXPECT_NE(problem([](auto& o) { o.budgets[0].critical = 100; }), "");
  EXPECT_NE(problem([](auto& o) { o.budgets[0].target = 0.99; }), "");
  EXPECT_NE(problem([](auto& o) { o.budgets[0].timing.window = -1s; }), "");
  EXPECT_NE(problem([](auto& o) { o.budgets.push_back(o.budgets[0]); }), "");
  EXPECT_NE(problem([](auto& o) { o.hold.good_samples = 0; }), "");
  EXPECT_NE(problem([](auto& o) { o.tick = 0s; }), "");
}

}  // namespace
}  // namespace backfill::throttle
