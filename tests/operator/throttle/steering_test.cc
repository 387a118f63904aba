#include "tests/operator/throttle/governor_fixture.h"

// Steps 4 to 9 and 0 of a tick: what the rate does while metrics are there.
namespace backfill::throttle {
namespace {

using testing::Contains;
using testing::ElementsAre;

class SteeringTest : public GovernorTest {
 protected:
  static double Raised(double rate, double k, double e) {
    return rate * std::exp(std::min(std::log(2.0), k * e) * 10 / 85);
  }
};

TEST_F(SteeringTest, StartsAtTheInitialRateOrOnePercent) {
  EXPECT_EQ(InitialRate(OneBudget()), 10);
  GovernorOptions options = OneBudget();
  options.initial.reset();
  EXPECT_EQ(InitialRate(options), 6);
  options.floor = 20;
  EXPECT_EQ(InitialRate(options), 20);
}

TEST_F(SteeringTest, Step0KeepsTheRateWithinTheLowestLimit) {
  StartAt(300);
  EXPECT_DOUBLE_EQ(TickWith(85).rate, 300);
  inputs_.window_limit = 200;
  EXPECT_DOUBLE_EQ(Tick().rate, 200);
  EXPECT_EQ(last_.limit, 200);
  EXPECT_EQ(last_.limited_by, LimitedBy::kSchedule);
  inputs_.cap = 50;
  EXPECT_DOUBLE_EQ(Tick().rate, 50);
  EXPECT_EQ(last_.limited_by, LimitedBy::kOverride);
  EXPECT_EQ(last_.state, GovernorState::kOverridden);
  EXPECT_THAT(Told(), ElementsAre(TransitionKind::kRateOverridden));
}

TEST_F(SteeringTest, Step0ALimitBelowTheFloorWins) {
  StartAt(300);
  inputs_.cap = 2;
  EXPECT_DOUBLE_EQ(TickWith(150).rate, 2);
}

TEST_F(SteeringTest, WithoutABudgetToSteerByTheLimitIsTheRate) {
  GovernorOptions options = OneBudget();
  options.budgets[0].enforce = false;
  StartAt(10, options);
  EXPECT_DOUBLE_EQ(TickWith(500).rate, 600);
  EXPECT_EQ(last_.limited_by, LimitedBy::kMax);
  ASSERT_EQ(last_.budgets.size(), 1u);
  EXPECT_EQ(last_.budgets[0].pressure, 5) << "it is measured all the same";
}

TEST_F(SteeringTest, Step4CutsByHowFarItIsOver) {
  for (const auto& [value, factor] : {std::pair{101.0, 0.9}, {120.0, 0.7}, {160.0, 0.5}}) {
    StartAt(100);
    Settle();
    EXPECT_NEAR(TickWith(value).rate, 100 * factor, 1e-9) << value;
    EXPECT_TRUE(last_.cut);
    EXPECT_THAT(Told(), ElementsAre(TransitionKind::kBudgetExceeded));
    EXPECT_EQ(last_.state, GovernorState::kLimited);
    EXPECT_EQ(last_.throttled, ThrottledReason::kBudgetExceeded);
  }
  EXPECT_EQ(last_.message, "p99 160 over 100");
}

TEST_F(SteeringTest, Step4CutsWhatIsSentNotWhatWasAllowed) {
  StartAt(100);
  Sends(40);
  Settle();
  EXPECT_NEAR(TickWith(120).rate, 40 * 0.7, 1e-9);
}

TEST_F(SteeringTest, Step4WaitsADeadTimeForTheEffectUnlessItGetsWorse) {
  StartAt(100);
  Settle();
  EXPECT_NEAR(TickWith(110).rate, 85, 1e-9);
  EXPECT_NEAR(TickWith(120).rate, 85, 1e-9) << "less than 15 % worse";
  EXPECT_NEAR(TickWith(127).rate, 85 * (1 - 1.5 * 0.27), 1e-9) << "15 % worse";
  EXPECT_NEAR(TickWith(127).rate, 85 * (1 - 1.5 * 0.27), 1e-9);
}

TEST_F(SteeringTest, Step4CutsAgainAfterADeadTime) {
  StartAt(100);
  Settle();
  EXPECT_NEAR(TickWith(110).rate, 85, 1e-9);
  EXPECT_NEAR(For(80s).rate, 85, 1e-9);
  Sends(85);
  EXPECT_NEAR(Tick().rate, 85 * 0.85, 1e-9);
}

TEST_F(SteeringTest, Step4ForgetsHowBadItWasOnceBelowTheTarget) {
  StartAt(100);
  Settle();
  TickWith(150);
  const double after_cut = TickWith(84).rate;
  EXPECT_LT(TickWith(102).rate, after_cut) << "although it was worse at the last cut";
}

TEST_F(SteeringTest, Step4NeverCutsBelowTheFloor) {
  StartAt(6);
  Settle();
  EXPECT_EQ(TickWith(150).rate, 5);
}

TEST_F(SteeringTest, Step5ComesBackFromAboveTheTarget) {
  StartAt(100);
  Settle();
  EXPECT_NEAR(TickWith(95).rate, 100 * std::exp(1.5 * (0.85 - 0.95) * 10 / 85), 1e-9);
  EXPECT_FALSE(last_.cut);
}

TEST_F(SteeringTest, Step6StaysInTheDeadbandJudgedByTheWorstOfThreeSamples) {
  StartAt(100);
  Settle();
  EXPECT_EQ(TickWith(89).rate, 100);
  EXPECT_EQ(TickWith(50).rate, 100);
  EXPECT_EQ(TickWith(50).rate, 100) << "89 is among the last three";
  EXPECT_GT(TickWith(50).rate, 100);
}

TEST_F(SteeringTest, Step7RaisesByTheRoomThereIs) {
  StartAt(100);
  const double e = 0.85 - 0.6;
  EXPECT_NEAR(TickWith(60).rate, Raised(100, 0.5 + 1.5 * e, e), 1e-9);
  EXPECT_EQ(last_.state, GovernorState::kRamping);
}

TEST_F(SteeringTest, Step7AtMostDoublesInADeadTime) {
  StartAt(100);
  EXPECT_NEAR(TickWith(0).rate, Raised(100, 9, 9), 1e-9);
  For(kL - kTick);
  EXPECT_LE(rate(), 200 + 1e-9);
}

TEST_F(SteeringTest, Step7DoesNotWindUpWhenWorkersCannotSend) {
  StartAt(100);
  Sends(79);
  EXPECT_EQ(TickWith(60).rate, 100);
  EXPECT_EQ(last_.limited_by, LimitedBy::kWorkers);
  inputs_.records_wait = true;
  EXPECT_GT(Tick().rate, 100) << "records wait for tokens: they would";
}

TEST_F(SteeringTest, Step7DoesNotRaiseWhileWorkersHoldBackByThemselves) {
  StartAt(100);
  Sends(79);
  inputs_.records_wait = true;
  inputs_.inner_cut = true;
  EXPECT_EQ(TickWith(60).rate, 100);
  EXPECT_EQ(last_.limited_by, LimitedBy::kTargetLatency);
}

TEST_F(SteeringTest, Step7LiftsTheRateFromZero) {
  GovernorOptions options = OneBudget();
  options.floor = 0;
  StartAt(0, options);
  EXPECT_NEAR(TickWith(10).rate, 10.0 / 85, 1e-9);
}

TEST_F(SteeringTest, Step7ReturnsQuicklyToARateThatWasGood) {
  StartAt(400);
  Metric(85);
  For(600s);
  ASSERT_TRUE(last_.last_good);
  TickWith(140);
  Settle(82);
  const double low = rate();
  ASSERT_LT(low, 0.8 * *last_.last_good);
  Ticks(0);
  const double e = 0.85 - 0.7;
  TickWith(70), TickWith(70);
  const double before = rate();
  EXPECT_NEAR(TickWith(70).rate, Raised(before, 2.5, e), 1e-9);
}

TEST_F(SteeringTest, Step8ACliffLeavesACeiling) {
  StartAt(300);
  Metric(10);
  inputs_.canary = true;  // stays
  For(120s);
  inputs_.canary = false;
  TickWith(150);
  ASSERT_TRUE(last_.ceiling);
  EXPECT_NEAR(*last_.ceiling, 300, 1e-9);
  Settle(10);
  double before = 150;
  while (Tick().rate < 0.9 * 300 - 1e-9) {
    ASSERT_GT(rate(), before) << "freely up to 90 % of it";
    before = rate();
  }
  before = rate();
  EXPECT_LE(Tick().rate, before * std::exp(0.02 * 10 / 85) + 1e-9) << "beyond it only creeps";
}

TEST_F(SteeringTest, Step8ACutFromNearTheTargetLeavesNoCeiling) {
  StartAt(300);
  Metric(84);
  For(120s);
  TickWith(150);
  EXPECT_FALSE(last_.ceiling);
}

TEST_F(SteeringTest, Step8TheCeilingRisesWhileNothingHappens) {
  StartAt(300);
  Metric(10);
  inputs_.canary = true;
  For(120s);
  TickWith(150);
  Metric(85);
  For(170s);
  EXPECT_NEAR(*last_.ceiling, 300, 1e-9);
  Tick();
  EXPECT_NEAR(*last_.ceiling, 330, 1e-9);
  For(180s);
  EXPECT_NEAR(*last_.ceiling, 363, 1e-9);
}

TEST_F(SteeringTest, Step9RemembersARateOnlyNearTheBudget) {
  StartAt(300);
  TickWith(10);
  EXPECT_FALSE(last_.last_good);
  TickWith(85);
  EXPECT_NEAR(last_.last_good.value_or(0), 300, 30);
}

TEST_F(SteeringTest, TheCanaryMayFallButNotRise) {
  StartAt(100);
  inputs_.canary = true;
  EXPECT_EQ(TickWith(10).rate, 100);
  EXPECT_LT(TickWith(140).rate, 100);
}

TEST_F(SteeringTest, YieldsToOthersWhenOverBudgetAtTheFloorForTwoDeadTimes) {
  StartAt(5);
  Metric(120);
  For(170s);
  EXPECT_EQ(rate(), 5);
  Tick();
  EXPECT_EQ(rate(), 0);
  EXPECT_EQ(last_.state, GovernorState::kYielding);
  EXPECT_EQ(last_.throttled, ThrottledReason::kTargetOverloadedByOthers);
  EXPECT_THAT(Told(), Contains(TransitionKind::kThrottled));
  EXPECT_EQ(last_.holds, 0);
  TickWith(80), TickWith(80);
  EXPECT_EQ(rate(), 0);
  EXPECT_EQ(TickWith(80).rate, 5);
}

TEST_F(SteeringTest, KeepsTheFloorWhereItIsSaidTo) {
  GovernorOptions options = OneBudget();
  options.at_floor = AtFloor::kKeep;
  StartAt(5, options);
  Metric(120);
  EXPECT_EQ(For(600s).rate, 5);
}

TEST_F(SteeringTest, TheWorstBudgetBindsAndIsNamed) {
  GovernorOptions options = OneBudget();
  options.budgets.push_back(BudgetNamed("cpu"));
  StartAt(100, options);
  Metric(60), Metric(120, 1);
  Tick();
  EXPECT_EQ(last_.binding, 1u);
  EXPECT_NEAR(rate(), 70, 1e-9);
  EXPECT_EQ(last_.message, "cpu 120 over 100");
}

TEST_F(SteeringTest, AMinimumIsABudgetLikeAMaximum) {
  GovernorOptions options = OneBudget();
  options.budgets[0] = {.name = "success", .direction = Direction::kMin, .bound = 0.99};
  StartAt(100, options);
  EXPECT_NEAR(TickWith(0.988).rate, 70, 1e-6) << "pressure 1.2";
  EXPECT_EQ(last_.message, "success 0.988 under 0.99");
}

TEST_F(SteeringTest, GainsScaleWithTheDeadTime) {
  GovernorOptions options = OneBudget();
  options.budgets[0].timing.window = 300s;
  EXPECT_EQ(DeadTime(options), 325s);
  StartAt(100, options);
  EXPECT_NEAR(TickWith(0).rate, 100 * std::exp(std::log(2.0) * 10 / 325), 1e-9);
}

TEST_F(SteeringTest, BetweenTicksItRisesByTheTimeThatHasPassed) {
  StartAt(100);
  TickWith(0);
  const double before = rate();
  Tick(0s), Tick(0s);
  EXPECT_EQ(rate(), before);
  for (int i = 0; i < 10; ++i) Tick(1s);
  EXPECT_NEAR(rate(), Raised(before, 9, 9), 1e-6);
  const double now = rate();
  EXPECT_NEAR(Tick(1h).rate, Raised(now, 9, 9), 1e-6) << "and does not catch up";
}

TEST_F(SteeringTest, TheConditionEndsFiveMinutesAfterTheLastCut) {
  StartAt(100);
  Settle();
  TickWith(110);
  Metric(80);
  For(290s);
  EXPECT_EQ(last_.throttled, ThrottledReason::kBudgetExceeded);
  Tick();
  EXPECT_EQ(last_.throttled, ThrottledReason::kNone);
  EXPECT_THAT(Told(), ElementsAre(TransitionKind::kThrottleReleased));
}

TEST_F(SteeringTest, ObservingComputesAllAndActsOnLimitsOnly) {
  GovernorOptions options = OneBudget();
  options.mode = Mode::kObserve;
  StartAt(100, options);
  EXPECT_EQ(TickWith(150).rate, 600);
  EXPECT_LT(last_.governed, 100);
  inputs_.cap = 50;
  EXPECT_EQ(Tick().rate, 50);
  inputs_.blackout = true;
  EXPECT_EQ(Tick().rate, 0);
}

}  // namespace
}  // namespace backfill::throttle
