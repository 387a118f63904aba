#include "tests/operator/throttle/governor_fixture.h"

// A metric that is not there is not zero, nor bad: it is a state with its own path.
namespace backfill::throttle {
namespace {

using testing::Contains;
using testing::Not;

class MissingMetricTest : public GovernorTest {
 protected:
  void Run(GovernorOptions options = OneBudget()) {
    StartAt(400, std::move(options));
    for (std::size_t i = 0; i < inputs_.observations.size(); ++i) Metric(85, i);
    For(100s);
  }
  static GovernorOptions With(OnMissing on_missing,
                              OnNoTraffic on_no_traffic = OnNoTraffic::kMissing) {
    GovernorOptions options = OneBudget();
    options.budgets[0].on_missing = on_missing;
    options.budgets[0].on_no_traffic = on_no_traffic;
    return options;
  }
};

TEST_F(MissingMetricTest, FreezesLandsAndHolds) {
  Run();
  Says(Answer::kError, 0, "connection refused");
  EXPECT_EQ(For(30s).rate, 400);
  EXPECT_EQ(last_.state, GovernorState::kLanding);
  EXPECT_EQ(last_.limited_by, LimitedBy::kMissingMetric);
  EXPECT_THAT(Told(), Not(Contains(TransitionKind::kMetricUnavailable)));
  EXPECT_EQ(Tick().rate, 200) << "half, 30 s after it was seen missing";
  EXPECT_THAT(Told(), Contains(TransitionKind::kMetricUnavailable));
  EXPECT_EQ(last_.throttled, ThrottledReason::kMetricUnavailable);
  EXPECT_EQ(last_.message, "p99: Error: connection refused");
  EXPECT_EQ(For(30s).rate, 100);
  For(230s);
  EXPECT_EQ(rate(), 5);
  EXPECT_EQ(Tick().rate, 0) << "from 5 min on";
  EXPECT_EQ(last_.state, GovernorState::kHeld);
  EXPECT_EQ(last_.stalled, StalledReason::kNone);
  For(25min);
  EXPECT_EQ(last_.stalled, StalledReason::kMetricUnavailable);
}

TEST_F(MissingMetricTest, EveryKindOfMissingIsMissing) {
  for (const Answer answer : {Answer::kNoData, Answer::kNotANumber, Answer::kError}) {
    Run();
    Says(answer);
    For(10min);
    EXPECT_EQ(rate(), 0);
  }
  Run();
  Says(Answer::kValue, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(Tick().budgets[0].state, MetricState::kNaN);
}

TEST_F(MissingMetricTest, TheFloorWhereItIsSaidTo) {
  Run(With(OnMissing::kFloor));
  Says(Answer::kError);
  EXPECT_EQ(For(20min).rate, 5);
}

TEST_F(MissingMetricTest, FreezeStaysAndDoesNotLand) {
  Run(With(OnMissing::kFreeze));
  Says(Answer::kError);
  EXPECT_EQ(For(20min).rate, 400);
  EXPECT_EQ(last_.limited_by, LimitedBy::kMissingMetric);
}

TEST_F(MissingMetricTest, IgnoreHoldsWhenNothingElseIsFresh) {
  Run(With(OnMissing::kIgnore));
  Says(Answer::kError);
  EXPECT_EQ(For(10min).rate, 0);
}

TEST_F(MissingMetricTest, IgnoreGoesOnWithAnotherThatIsFresh) {
  GovernorOptions options = With(OnMissing::kIgnore);
  options.budgets.push_back(BudgetNamed("cpu"));
  Run(options);
  Says(Answer::kError);
  Metric(50, 1);
  For(290s);
  const double landed = rate();
  EXPECT_LT(landed, 10);
  EXPECT_GT(For(60s).rate, landed);
}

TEST_F(MissingMetricTest, OfSeveralTheStrictestActs) {
  GovernorOptions options = With(OnMissing::kFreeze);
  options.budgets.push_back(BudgetNamed("cpu"));
  Run(options);
  Says(Answer::kError), Says(Answer::kError, 0, "", 1);
  EXPECT_EQ(For(10min).rate, 0);
}

TEST_F(MissingMetricTest, OthersStillCutAndHold) {
  GovernorOptions options = OneBudget();
  options.budgets.push_back(BudgetNamed("cpu"));
  Run(options);
  Says(Answer::kError);
  Metric(120, 1);
  EXPECT_NEAR(Tick().rate, 280, 1e-9);
  Metric(300, 1);
  EXPECT_EQ(Tick().rate, 0);
  EXPECT_EQ(last_.throttled, ThrottledReason::kCriticalHold);
}

TEST_F(MissingMetricTest, AnOptionalOneDegradesNothing) {
  GovernorOptions options = OneBudget();
  options.budgets[0].required = false;
  options.budgets.push_back(BudgetNamed("cpu"));
  Run(options);
  Says(Answer::kError);
  Metric(50, 1);
  EXPECT_GT(For(60s).rate, 400);
}

TEST_F(MissingMetricTest, NothingRisesWhenTheOnlyOneIsOptionalAndMissing) {
  GovernorOptions options = OneBudget();
  options.budgets[0].required = false;
  StartAt(100, options);
  Says(Answer::kNoData);
  EXPECT_EQ(For(10min).rate, 100);
}

TEST_F(MissingMetricTest, ALateSampleStopsRaisesAndStillCuts) {
  StartAt(100);
  TickWith(50);
  StandStill();
  For(30s);
  const double before = rate();
  EXPECT_EQ(last_.budgets[0].state, MetricState::kFresh);
  Tick();
  EXPECT_EQ(last_.budgets[0].state, MetricState::kLate) << "older than 35 s";
  EXPECT_EQ(rate(), before);

  StartAt(100);
  StandStill(false);
  Settle();
  TickWith(140);
  const double after_cut = rate();
  StandStill();
  For(60s);
  EXPECT_EQ(last_.budgets[0].state, MetricState::kLate);
  EXPECT_EQ(rate(), after_cut);
}

TEST_F(MissingMetricTest, AStaleSampleIsMissing) {
  Run();
  StandStill();
  For(60s);
  EXPECT_EQ(last_.budgets[0].state, MetricState::kLate);
  Tick();
  EXPECT_EQ(last_.budgets[0].state, MetricState::kStale);
  EXPECT_EQ(For(30s).rate, 200);
}

TEST_F(MissingMetricTest, NoTrafficMayMeanZero) {
  Run(With(OnMissing::kHold, OnNoTraffic::kZero));
  Says(Answer::kNoData);
  For(60s);
  EXPECT_GT(rate(), 400);
  EXPECT_EQ(last_.pressure, 0);
  EXPECT_EQ(last_.budgets[0].state, MetricState::kFresh);
}

TEST_F(MissingMetricTest, NoTrafficIsProbedAfterTheLanding) {
  Run(With(OnMissing::kHold, OnNoTraffic::kProbe));
  Says(Answer::kNotANumber);
  For(5min);
  EXPECT_EQ(rate(), 5);
  EXPECT_EQ(Tick().rate, 5);
  EXPECT_EQ(last_.state, GovernorState::kProbing);
  Says(Answer::kError);
  EXPECT_EQ(Tick().rate, 0) << "an error is not a lack of traffic";
}

TEST_F(MissingMetricTest, AProbeSendsAtLeastOneASecond) {
  GovernorOptions options = With(OnMissing::kHold, OnNoTraffic::kProbe);
  options.floor = 0;
  Run(options);
  Says(Answer::kNoData);
  EXPECT_EQ(For(10min).rate, 1);
}

TEST_F(MissingMetricTest, AYieldIsProbedAfterAMinute) {
  StartAt(5, With(OnMissing::kHold, OnNoTraffic::kProbe));
  Metric(120);
  For(180s);
  ASSERT_EQ(last_.state, GovernorState::kYielding);
  Says(Answer::kNotANumber);
  EXPECT_EQ(For(50s).rate, 0);
  EXPECT_EQ(Tick().rate, 5);
  EXPECT_EQ(last_.state, GovernorState::kProbing);
}

TEST_F(MissingMetricTest, AfterAGapItWaitsForWindowsToFillAndTrustsLess) {
  Run();
  Says(Answer::kError);
  For(120s);
  const double landed = rate();
  EXPECT_NEAR(TickWith(40).rate, landed, 1e-9);
  EXPECT_NEAR(*last_.last_good, 0.7 * 400, 1e-9);
  For(80s);
  EXPECT_NEAR(rate(), landed, 1e-9) << "max(W, L) is 85 s";
  EXPECT_GT(Tick().rate, landed);
}

TEST_F(MissingMetricTest, AfterAHoldItBeginsAtTheFloor) {
  Run();
  Says(Answer::kError);
  For(20min);
  EXPECT_EQ(TickWith(50).rate, 5);
}

TEST_F(MissingMetricTest, AShortGapChangesNothing) {
  Run();
  const auto good = last_.last_good;
  Says(Answer::kError);
  Ticks(2);
  TickWith(85);
  EXPECT_EQ(rate(), 400);
  EXPECT_NEAR(*last_.last_good, *good, 1e-9);
  Settle(60);
  EXPECT_GT(rate(), 400);
}

TEST_F(MissingMetricTest, AGapAtTheFloorLeavesTheMemory) {
  StartAt(400);
  Metric(85);
  For(100s);
  const double good = *last_.last_good;
  Sends(5);
  Settle(100.5);
  For(300s);
  Metric(101);
  For(1000s);
  Sends(std::nullopt);
  ASSERT_LE(governor_->memory().rate, 5);
  Says(Answer::kError);
  For(60s);
  TickWith(101);
  EXPECT_NEAR(*last_.last_good, good, 200) << "and not 0.7 of the floor";
  EXPECT_GT(*last_.last_good, 5);
}

TEST_F(MissingMetricTest, ImplausibleSamplesAreDroppedAndCounted) {
  Run();
  TickWith(-1);
  TickWith(100'001);
  EXPECT_EQ(last_.budgets[0].discarded, 2u);
  EXPECT_EQ(last_.budgets[0].value, 85);
  EXPECT_EQ(rate(), 400);
  For(70s);
  EXPECT_EQ(last_.budgets[0].state, MetricState::kStale) << "the one before goes on ageing";
  EXPECT_EQ(last_.budgets[0].detail, "the last value is implausible");
}

TEST_F(MissingMetricTest, ASampleFromTheFutureIsOfNow) {
  Run();
  StandStill();
  Metric(95);
  inputs_.observations[0].time = now_ + 1h;
  Tick();
  EXPECT_EQ(last_.budgets[0].from_the_future, 1u);
  EXPECT_EQ(last_.budgets[0].age, 0s);
  For(70s);
  EXPECT_EQ(last_.budgets[0].state, MetricState::kStale) << "it is the same sample";
  EXPECT_EQ(last_.budgets[0].from_the_future, 1u);
  inputs_.observations[0].time = now_ - 3s;
  Tick();
  EXPECT_EQ(last_.budgets[0].state, MetricState::kFresh) << "the clock was set right";
}

TEST_F(MissingMetricTest, PreflightWantsOneFreshSampleOfEachRequiredBudget) {
  const GovernorOptions options = OneBudget();
  const auto check = [&](const GovernorOptions& o, Observation said) {
    return Preflight(o, {std::move(said)}, now_);
  };
  EXPECT_EQ(check(options, {.answer = Answer::kValue, .value = 500, .time = now_, .detail = ""}),
            "");
  EXPECT_EQ(check(options, {}), "p99: Error: no answer yet");
  EXPECT_EQ(check(options, {.answer = Answer::kNoData, .time = now_, .detail = "no series"}),
            "p99: NoData: no series");
  EXPECT_EQ(
      check(options, {.answer = Answer::kValue, .value = 50, .time = now_ - 50s, .detail = ""}),
      "p99: Late");
  EXPECT_EQ(check(With(OnMissing::kHold, OnNoTraffic::kProbe),
                  {.answer = Answer::kNotANumber, .time = now_, .detail = ""}),
            "");
  GovernorOptions optional = options;
  optional.budgets[0].required = false;
  EXPECT_EQ(check(optional, {}), "");
}

}  // namespace
}  // namespace backfill::throttle
