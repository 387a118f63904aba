// What the governor of the rate changes in the life of a Backfill.

#include "operator/reconcile/status_drift.h"
#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;
using api::Phase;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::VariantWith;

class DecideThrottleTest : public DecideTest {
 protected:
  DecideThrottleTest() {
    RealRun();
    Planned();
    ReportBegun();
    ThrottleView view;
    view.rate = 200;
    view.limited_by = "Max";
    view.status.emplace().state = "Steady";
    view.status->since = "2027-01-15T08:00:00Z";
    o_.throttle = view;
  }
  void Rests(const std::string& limited_by, const std::string& state, const std::string& reason) {
    o_.throttle->rate = 0;
    o_.throttle->limited_by = limited_by;
    o_.throttle->status->state = state;
    o_.throttle->status->reason = reason;
  }
  [[nodiscard]] std::string LimitedBy() const {
    return o_.backfill.status.rate ? o_.backfill.status.rate->limited_by : "-";
  }
  template <typename A>
  [[nodiscard]] int Count() const {
    return static_cast<int>(std::ranges::count_if(
        decision_.actions, [](const Action& a) { return std::holds_alternative<A>(a); }));
  }
};

TEST_F(DecideThrottleTest, TheRateOfTheGovernorIsWhatWorkersGet) {
  Opened(o_.run).attempts_per_second = 199;
  Step();
  ASSERT_NE(Configured(), nullptr);
  EXPECT_EQ(Configured()->records_per_second, 200);
  EXPECT_EQ(o_.backfill.status.rate->limit, 200);
  EXPECT_EQ(LimitedBy(), "Max");
  ASSERT_TRUE(o_.backfill.status.throttle.has_value());
  EXPECT_EQ(o_.backfill.status.throttle->state, "Steady");
}

TEST_F(DecideThrottleTest, WhatWorkersDoByThemselvesReachesThemWhileTheyRun) {
  Opened(o_.run);
  o_.throttle->latency_headroom = 0;
  o_.throttle->grants = {.ttl = 45s, .refresh = 9s};
  Step();
  EXPECT_EQ(Configured()->grants, o_.throttle->grants);
  EXPECT_EQ(Configured()->latency_headroom, 0);
  o_.throttle->latency_headroom = 3;
  Step();
  EXPECT_EQ(Configured()->latency_headroom, 3);
}

TEST_F(DecideThrottleTest, WhatBindsIsNamedWhereTheRateIsUsedUp) {
  o_.throttle->limited_by = "Budget";
  StageSnapshot& open = Opened(o_.run);
  open.attempts_per_second = 195;
  Step();
  EXPECT_EQ(LimitedBy(), "Budget");
  open.attempts_per_second = 20;
  Step();
  EXPECT_EQ(LimitedBy(), "Workers") << "they do not use what they may";
}

TEST_F(DecideThrottleTest, ADryRunThatSendsNothingIsNotThrottled) {
  o_.backfill.spec.dry_run = true;
  o_.throttle.reset();
  Opened(o_.dry_run);
  Step();
  ASSERT_NE(Configured(), nullptr);
  EXPECT_TRUE(Configured()->unlimited);
  EXPECT_FALSE(o_.backfill.status.throttle.has_value());
}

TEST_F(DecideThrottleTest, OutsideOfItsScheduleItRunsAtNothingAndIsReady) {
  Opened(o_.run);
  Rests("Schedule", "Blackout",
        "outside of the windows of the schedule until 2027-01-16T08:00:00Z");
  Step();
  EXPECT_EQ(Configured()->records_per_second, 0);
  EXPECT_FALSE(Configured()->paused);
  EXPECT_EQ(PhaseNow(), Phase::kRunning);
  EXPECT_EQ(ConditionOf("Ready"), "True/Running") << "it waits for the clock alone";
  EXPECT_THAT(MessageOf("Ready"), HasSubstr("outside of the windows"));
  EXPECT_EQ(LimitedBy(), "Schedule");
  EXPECT_EQ(ConditionOf("Throttled"), "False/NotThrottled");
}

TEST_F(DecideThrottleTest, WorkersThatWaitForTheScheduleForLongAreLetGo) {
  o_.idle_timeout = 15min;
  Opened(o_.run);
  Rests("Schedule", "Blackout", "blackout");
  o_.throttle->status->since = FormatWallTime(now_);
  Step();
  EXPECT_THAT(decision_.actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 2})));
  Later(15min);
  Step();
  EXPECT_THAT(decision_.actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 0})));
  o_.throttle->rate = 50;
  o_.throttle->status->state = "Ramping";
  Step();
  EXPECT_THAT(decision_.actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 2})));
}

TEST_F(DecideThrottleTest, ABudgetThatIsExceededIsAConditionWithItsFigures) {
  Opened(o_.run);
  o_.throttle->throttled = "BudgetExceeded";
  o_.throttle->message = "p99 0.31 over 0.25";
  const api::Status before = o_.backfill.status;
  Step();
  EXPECT_EQ(ConditionOf("Throttled"), "True/BudgetExceeded");
  EXPECT_EQ(MessageOf("Throttled"), "p99 0.31 over 0.25");
  EXPECT_EQ(PhaseNow(), Phase::kRunning) << "it is a condition and no phase";
  EXPECT_EQ(ConditionOf("Ready"), "True/Running");
}

TEST_F(DecideThrottleTest, EachTransitionIsToldOnce) {
  Opened(o_.run);
  const auto told = [this] {
    const api::Status before = o_.backfill.status;
    Step();
    std::vector<std::string> reasons;
    for (const BackfillEvent& event : EventsOf(before, o_.backfill.status))
      if (event.action == "Throttle") reasons.push_back(event.reason);
    return reasons;
  };
  (void)told();
  o_.throttle->throttled = "BudgetExceeded";
  o_.throttle->message = "p99 0.31 over 0.25";
  EXPECT_THAT(told(), testing::ElementsAre("BudgetExceeded"));
  o_.throttle->message = "p99 0.33 over 0.25";
  EXPECT_THAT(told(), IsEmpty());
  o_.throttle->throttled = "CriticalHold";
  EXPECT_THAT(told(), testing::ElementsAre("CriticalHold"));
  o_.throttle->throttled = "TargetOverloadedByOthers";
  EXPECT_THAT(told(), testing::ElementsAre("Throttled"));
  o_.throttle->throttled.clear();
  EXPECT_THAT(told(), testing::ElementsAre("ThrottleReleased"));
  o_.throttle->status->state = "Overridden";
  EXPECT_THAT(told(), testing::ElementsAre("RateOverridden"));
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(DecideThrottleTest, BrokenGlassIsAWarningAndSoIsOneThatIsRefused) {
  Opened(o_.run);
  const auto told = [this] {
    const api::Status before = o_.backfill.status;
    Step();
    std::vector<std::string> reasons;
    for (const BackfillEvent& event : EventsOf(before, o_.backfill.status))
      if (event.action == "Throttle")
        reasons.push_back((event.warning ? "Warning " : "Normal ") + event.reason);
    return reasons;
  };
  (void)told();
  const api::Status whole = o_.backfill.status;
  o_.throttle->status->state = "Overridden";
  o_.throttle->status->glass_broken_until = "2027-01-15T08:30:00Z";
  EXPECT_THAT(told(), testing::ElementsAre("Warning GlassBroken")) << "which says it all";
  EXPECT_NE(Lasting(o_.backfill.status), Lasting(whole)) << "so it is written at once";
  EXPECT_THAT(told(), IsEmpty());
  o_.throttle->status->glass_broken_until = "2027-01-15T08:50:00Z";
  EXPECT_THAT(told(), testing::ElementsAre("Warning GlassBroken")) << "again";
  o_.throttle->status->glass_broken_until = "";
  o_.throttle->status->glass_refused_until = "2027-01-15T18:00:00Z";
  EXPECT_THAT(told(), testing::ElementsAre("Warning OverrideRefused"));
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(DecideThrottleTest, NothingBeginsBeforeARequiredMetricCanBeRead) {
  o_.report = ReportState::kNone;
  o_.throttle->waits_for = "p99: NoData: the query has no series";
  Step();
  EXPECT_EQ(PhaseNow(), Phase::kPending);
  EXPECT_EQ(ConditionOf("Ready"), "False/MetricUnavailable");
  EXPECT_EQ(MessageOf("Ready"), "p99: NoData: the query has no series");
  EXPECT_THAT(decision_.actions, IsEmpty()) << "no report, no ledger is opened, no worker started";
  EXPECT_TRUE(decision_.observe_soon);
  o_.throttle->waits_for.clear();
  Step();
  EXPECT_EQ(Count<CreateReport>(), 1);
}

TEST_F(DecideThrottleTest, WhoWaitsForAMetricForHalfAnHourAsksForAPersonAndBeginsByItself) {
  o_.report = ReportState::kNone;
  o_.throttle->waits_for = "p99: NoData";
  Step();
  Later(30min - 1s);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  Later(1s);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/MetricUnavailable");
  EXPECT_EQ(ConditionOf("Ready"), "False/MetricUnavailable");
  o_.throttle->waits_for.clear();
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  EXPECT_EQ(Count<CreateReport>(), 1);
}

TEST_F(DecideThrottleTest, AMetricThatHasNotAnsweredYetIsWaitedForAndNothingIsWrong) {
  o_.report = ReportState::kNone;
  o_.throttle->waits_for = "p99: Error: no answer yet (up)";
  o_.throttle->asks_first = true;
  Step();
  EXPECT_EQ(PhaseNow(), Phase::kPending);
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Pending");
  EXPECT_THAT(decision_.actions, IsEmpty());
  EXPECT_TRUE(decision_.observe_soon);
}

TEST_F(DecideThrottleTest, AStageThatIsOpenBeforeItsMetricCanBeReadGrantsNothingAndStaysOpen) {
  Opened(o_.run);
  o_.throttle->waits_for = "p99: Error";
  Step();
  EXPECT_EQ(PhaseNow(), Phase::kPending);
  EXPECT_EQ(ConditionOf("Ready"), "False/MetricUnavailable");
  ASSERT_NE(Configured(), nullptr);
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(Count<CloseStage>() + Count<StopWorkers>() + Count<ScaleWorkers>(), 0);
}

TEST_F(DecideThrottleTest, HoldsThatRepeatEndInAPauseThatAPersonTakesBack) {
  Opened(o_.run);
  Rests("Hold", "Held", "p99 0.9 over 0.5");
  o_.throttle->pause_for = "RepeatedCriticalHolds";
  Step();
  EXPECT_THAT(decision_.actions,
              Contains(VariantWith<PauseForPerson>(PauseForPerson{"RepeatedCriticalHolds"})));
  PausedBy("RepeatedCriticalHolds");
  o_.throttle->pause_for.clear();
  Step();
  EXPECT_EQ(Count<PauseForPerson>(), 0);
  EXPECT_EQ(PhaseNow(), Phase::kPaused);
  EXPECT_EQ(ConditionOf("Stalled"), "True/RepeatedCriticalHolds");
  EXPECT_EQ(ConditionOf("Paused"), "True/AnnotationPaused");
  o_.backfill.annotations.clear();
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
}

TEST_F(DecideThrottleTest, APersonIsAskedWhereAMetricIsMissingForLong) {
  Opened(o_.run);
  Rests("MissingMetric", "Held", "p99: Stale");
  o_.throttle->stalled = "MetricUnavailable";
  o_.throttle->message = "p99 has been missing for 30m";
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/MetricUnavailable");
  EXPECT_EQ(Count<ConfigureStage>(), 1) << "it goes on by itself";
}

TEST_F(DecideThrottleTest, WithoutAGovernorNothingIsSent) {
  Opened(o_.run);
  o_.throttle.reset();
  o_.throttle_error = Error{ErrorCode::kInvalid, "spec.schedule.timeZone: there is no such zone"};
  Step();
  ASSERT_NE(Configured(), nullptr);
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  o_.throttle_error = Error{ErrorCode::kUnavailable, "the time zones cannot be read"};
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(ConditionOf("Ready"), "False/ScheduleUnavailable");
  EXPECT_EQ(ConditionOf("Stalled"), "-");
}

}  // namespace
}  // namespace backfill::reconcile
