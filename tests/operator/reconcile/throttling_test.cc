#include "operator/reconcile/throttling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

WallTime At(const std::string& text) { return ParseWallTime(text).value(); }

// A Backfill, its governor, and a clock; verbs change what people and metrics say.
class ThrottlingTest : public testing::Test {
 protected:
  ThrottlingTest() {
    b_.name = "reprice";
    b_.uid = "uid-1";
    b_.spec.dry_run = false;
    b_.spec.throttle.max_records_per_second = 500;
    open_.records_wait = true;
    open_.totals.counts.updated = 1;
  }

  api::Budget& AddBudget(const std::string& name, const std::string& max) {
    api::Budget& budget = b_.spec.throttle.budgets.emplace_back();
    budget.name = name;
    budget.max = max;
    budget.http = api::HttpMetric{.url = "http://a/", .pointer = {}, .credentials = {}};
    observations_.emplace_back();
    return budget;
  }
  void Says(double value, std::size_t budget = 0) {
    observations_.at(budget) = {throttle::Answer::kValue, value, now_, ""};
  }
  api::Override& Override(api::OverrideType type, std::int64_t rate, Duration in) {
    b_.spec.throttle.override = api::Override{
        type, rate, FormatWallTime(wall_ + std::chrono::duration_cast<WallTime::duration>(in)),
        "incident"};
    return *b_.spec.throttle.override;
  }
  ThrottleView Step() {
    if (view_.rate >= 0) open_.attempts_per_second = view_.rate;  // all that is allowed is sent
    auto view = throttling_->Step({.backfill = b_,
                                   .open = closed_ ? nullptr : &open_,
                                   .begun = begun_,
                                   .paused = paused_,
                                   .asked_for_glass = asked_for_glass_,
                                   .observations = observations_},
                                  now_, wall_);
    EXPECT_TRUE(view.ok()) << view.error().message;
    if (view.ok()) view_ = *view;
    return view_;
  }
  void Later(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }
  // For so long, with a tick every 10 s at which the metric says `value`.
  ThrottleView For(Duration time, double value) {
    for (Duration passed{}; passed < time; passed += 10s) {
      Later(10s);
      Says(value);
      Step();
    }
    return view_;
  }
  // Another operator takes over, with what stands in the status.
  void TakeOver() {
    b_.status.throttle = view_.status;
    throttling_.emplace();
  }

  api::Backfill b_;
  StageSnapshot open_;
  bool closed_ = false, begun_ = false, paused_ = false, asked_for_glass_ = true;
  std::vector<throttle::Observation> observations_;
  std::optional<Throttling> throttling_{std::in_place};
  ThrottleView view_;
  Time now_{std::chrono::hours(1000)};
  WallTime wall_ = At("2026-11-28T12:00:00Z");  // a Saturday
};

TEST_F(ThrottlingTest, WithoutBudgetsTheMaximumIsTheRateFromTheFirstMoment) {
  const ThrottleView view = Step();
  EXPECT_EQ(view.rate, 500);
  EXPECT_EQ(view.limited_by, "Max");
  EXPECT_EQ(view.status, std::nullopt) << "there is nothing to say";
  EXPECT_EQ(view.throttled, "");
  EXPECT_EQ(view.waits_for, "");
}

TEST_F(ThrottlingTest, AChangeOfTheMaximumActsAtOnce) {
  Step();
  b_.spec.throttle.max_records_per_second = 20;
  Later(1s);
  EXPECT_EQ(Step().rate, 20);
  b_.spec.throttle.max_records_per_second = 900;
  Later(1s);
  EXPECT_EQ(Step().rate, 900);
}

TEST_F(ThrottlingTest, TheFileSaysHowSlowWorkersLetTheTargetGet) {
  EXPECT_EQ(Step().latency_headroom, 1.25);
  b_.spec.throttle.worker.latency_headroom = "2.50";
  EXPECT_EQ(Step().latency_headroom, 2.5) << "at once";
  b_.spec.throttle.worker.latency_backoff = false;
  EXPECT_EQ(Step().latency_headroom, 0) << "they do not look at it";
  AddBudget("p99", "0.25").required = true;
  observations_ = {{throttle::Answer::kError, 0, now_, "down"}};
  closed_ = true;
  b_.spec.throttle.worker = {};
  EXPECT_NE(Step().waits_for, "");
  EXPECT_EQ(view_.latency_headroom, 1.25) << "also while it waits for a metric";
}

TEST_F(ThrottlingTest, AfterAPauseItGoesOnAsFastAsBefore) {
  Step();
  paused_ = true;
  Later(1s);
  EXPECT_EQ(Step().rate, 0);
  EXPECT_EQ(view_.limited_by, "Pause");
  paused_ = false;
  Later(1s);
  EXPECT_EQ(Step().rate, 500);
}

TEST_F(ThrottlingTest, OutsideOfItsWindowsItRestsAndSaysUntilWhen) {
  b_.spec.schedule = api::Schedule{"Europe/Berlin", {{{"Sat"}, "14:00", "15:00", 80}}, {}, {}};
  ThrottleView view = Step();  // 13:00 there
  EXPECT_EQ(view.rate, 0);
  EXPECT_EQ(view.limited_by, "Schedule");
  ASSERT_TRUE(view.status);
  EXPECT_EQ(view.status->state, "Blackout");
  EXPECT_EQ(view.status->next_change, "2026-11-28T13:00:00Z");
  EXPECT_THAT(view.status->reason, HasSubstr("outside of the windows of the schedule until"));
  Later(62min);
  view = Step();
  EXPECT_EQ(view.rate, 80) << "the window has a rate of its own";
  EXPECT_EQ(view.limited_by, "Schedule");
  Later(57min + 45s);  // 15 s before it closes
  EXPECT_NEAR(Step().rate, 80.0 / 3, 0.01);
  Later(10s);
  EXPECT_EQ(Step().rate, 0);
}

TEST_F(ThrottlingTest, ABlackoutIsActedOnWithinAStepNotATick) {
  b_.spec.schedule = api::Schedule{};
  EXPECT_EQ(Step().rate, 500);
  b_.spec.schedule->blackouts = {{"2026-11-28T11:00:00Z", "2026-11-28T13:00:00Z", "peak"}};
  Later(1s);
  EXPECT_EQ(Step().rate, 0);
  EXPECT_THAT(view_.status->reason, HasSubstr("blackout until 2026-11-28T13:00:00Z: peak"));
}

TEST_F(ThrottlingTest, OutsideMayBeSlowInPlaceOfNothing) {
  b_.spec.schedule = api::Schedule{
      "UTC", {{{"Mon"}, "08:00", "09:00", {}}}, api::Outside{api::OutsideAction::kCap, 7}, {}};
  EXPECT_EQ(Step().rate, 7);
  EXPECT_EQ(view_.limited_by, "Schedule");
}

TEST_F(ThrottlingTest, ACapLowersUntilItsEnd) {
  Override(api::OverrideType::kCap, 50, 1h);
  EXPECT_EQ(Step().rate, 50);
  EXPECT_EQ(view_.limited_by, "Override");
  EXPECT_THAT(view_.status->reason, HasSubstr("Cap 50/s until 2026-11-28T13:00:00Z: incident"));
  Later(1h);
  EXPECT_EQ(Step().rate, 500);
}

TEST_F(ThrottlingTest, OfFileAndAnnotationTheLowerCapApplies) {
  Override(api::OverrideType::kCap, 50, 1h);
  b_.annotations[api::kOverrideAnnotation] =
      R"({"type":"Cap","recordsPerSecond":20,"until":"2026-11-28T12:30:00Z","reason":"a"})";
  EXPECT_EQ(Step().rate, 20);
  Later(30min);
  EXPECT_EQ(Step().rate, 50) << "the annotation's has ended";
}

TEST_F(ThrottlingTest, AnAnnotationThatIsNotUnderstoodIsSaidAndIgnored) {
  b_.annotations[api::kOverrideAnnotation] = R"({"type":"Cap","until":"soon"})";
  EXPECT_EQ(Step().rate, 500);
  EXPECT_THAT(view_.status->reason, HasSubstr("annotation backfill.dev/throttle-override: "));
}

TEST_F(ThrottlingTest, APinIsForADayAtMost) {
  AddBudget("queue", "100");
  Says(500);  // far over the budget
  Override(api::OverrideType::kPin, 300, 30h);
  Step();
  EXPECT_LT(view_.rate, 300);
  EXPECT_THAT(view_.status->reason, HasSubstr("a Pin acts in the 24 hours before its end only"));
}

TEST_F(ThrottlingTest, BrokenGlassPassesCriticalUntilItsEnd) {
  AddBudget("queue", "100");
  Says(10);
  Step();
  For(10min, 10);
  For(20s, 250);
  ASSERT_EQ(view_.rate, 0);
  Override(api::OverrideType::kPin, 300, 30min);
  EXPECT_EQ(Step().rate, 0) << "a pin alone does not";
  b_.spec.throttle.override->break_glass = true;
  EXPECT_EQ(Step().rate, 300) << "at once";
  EXPECT_EQ(view_.limited_by, "Override");
  EXPECT_EQ(view_.status->state, "Overridden");
  EXPECT_THAT(view_.status->reason, HasSubstr("Pin 300/s past critical until 2026-11-28T12:"));
  EXPECT_EQ(view_.status->glass_broken_until, b_.spec.throttle.override->until);
  EXPECT_EQ(throttling_->changes().back().rate, 300) << "for the report";
  EXPECT_EQ(For(29min, 250).rate, 300);
  EXPECT_EQ(For(1min, 250).rate, 0);
  EXPECT_EQ(view_.status->glass_broken_until, "");
}

TEST_F(ThrottlingTest, BreakingTheGlassOfAPinStandsInTheReport) {
  AddBudget("queue", "100");
  Says(10);
  Override(api::OverrideType::kPin, 300, 30min);
  Step();
  const std::size_t before = throttling_->changes().size();
  b_.spec.throttle.override->break_glass = true;
  Step();
  ASSERT_EQ(throttling_->changes().size(), before + 1) << "though the rate is the same";
  EXPECT_THAT(throttling_->changes().back().reason, HasSubstr("past critical"));
}

TEST_F(ThrottlingTest, BrokenGlassStopsForAPause) {
  Override(api::OverrideType::kPin, 300, 30min).break_glass = true;
  EXPECT_EQ(Step().rate, 300);
  paused_ = true;
  EXPECT_EQ(Step().rate, 0);
}

TEST_F(ThrottlingTest, GlassThatIsToBeBrokenLaterIsRefusedForGood) {
  AddBudget("queue", "100");
  Says(10);
  Override(api::OverrideType::kPin, 300, 3h).break_glass = true;
  EXPECT_LT(Step().rate, 300);
  EXPECT_EQ(view_.status->glass_refused_until, b_.spec.throttle.override->until);
  EXPECT_THAT(view_.status->reason,
              HasSubstr("breakGlass is refused: until is more than 1 h ahead: Pin 300/s"));
  Later(150min);
  Says(10);
  EXPECT_LT(Step().rate, 300) << "nobody expects it by then";
  EXPECT_THAT(view_.status->reason, HasSubstr("write another one"));
  TakeOver();
  Later(1s);
  Says(10);
  EXPECT_LT(Step().rate, 300) << "nor by the next operator";
  EXPECT_EQ(view_.status->glass_broken_until, "");
  Override(api::OverrideType::kPin, 300, 59min).break_glass = true;
  EXPECT_EQ(Step().rate, 300);
  EXPECT_EQ(view_.status->glass_refused_until, "");
}

TEST_F(ThrottlingTest, ClocksMayDifferByAMinuteWhereTheGlassIsBroken) {
  Override(api::OverrideType::kPin, 300, 61min).break_glass = true;
  EXPECT_EQ(Step().rate, 300);
  Override(api::OverrideType::kPin, 300, 62min).break_glass = true;
  EXPECT_EQ(Step().rate, 500) << "without budgets the maximum";
}

TEST_F(ThrottlingTest, WithoutSomebodyWhoAsksTheGlassIsWhole) {
  asked_for_glass_ = false;
  Override(api::OverrideType::kPin, 300, 30min).break_glass = true;
  EXPECT_EQ(Step().rate, 500);
  EXPECT_THAT(view_.status->reason, HasSubstr("installed without the policy that asks who may"));
}

TEST_F(ThrottlingTest, NoAnnotationBreaksTheGlass) {
  b_.annotations[api::kOverrideAnnotation] =
      R"({"type":"Pin","recordsPerSecond":300,"until":"2026-11-28T12:30:00Z","reason":"a",)"
      R"("breakGlass":true})";
  EXPECT_EQ(Step().rate, 500);
  EXPECT_THAT(view_.status->reason, HasSubstr("breakGlass: is of spec.throttle.override alone"));
}

TEST_F(ThrottlingTest, OfTwoPinsTheLowerOneSaysWhetherTheGlassIsBroken) {
  Override(api::OverrideType::kPin, 300, 30min).break_glass = true;
  b_.annotations[api::kOverrideAnnotation] =
      R"({"type":"Pin","recordsPerSecond":200,"until":"2026-11-28T12:30:00Z","reason":"a"})";
  EXPECT_EQ(Step().rate, 200);
  EXPECT_EQ(view_.status->glass_broken_until, "");
}

TEST_F(ThrottlingTest, ABudgetBeginsLowRisesAndFalls) {
  AddBudget("queue", "100");
  Says(10);
  EXPECT_NEAR(Step().rate, 5, 0.5) << "1 % of the maximum, and the first step up";
  const double risen = For(10min, 10).rate;
  EXPECT_GT(risen, 20);
  EXPECT_EQ(view_.throttled, "");
  EXPECT_EQ(view_.status->binding_budget, "queue");
  EXPECT_LT(For(3min, 130).rate, risen);
  EXPECT_EQ(view_.throttled, "BudgetExceeded");
  EXPECT_THAT(view_.message, HasSubstr("queue 130 over 100"));
  ASSERT_EQ(view_.status->budgets.size(), 1U);
  EXPECT_EQ(view_.status->budgets[0].name, "queue");
  EXPECT_EQ(view_.status->budgets[0].state, "Fresh");
  EXPECT_EQ(view_.status->budgets[0].value, 130);
}

TEST_F(ThrottlingTest, WhatIsOverItsBudgetIsActedOnWithinAStepNotATick) {
  AddBudget("queue", "100");
  Says(10);
  Step();
  For(10min, 10);
  const double risen = view_.rate;
  Later(1s);
  Says(110);
  EXPECT_LT(Step().rate, 0.95 * risen) << "a second after the last tick";
  const double cut = view_.rate;
  Later(100ms);
  EXPECT_EQ(Step().rate, cut) << "the same sample again is no news";
  Later(1s);
  Says(390);
  EXPECT_EQ(Step().rate, 0) << "far beyond critical one sample is enough";
}

TEST_F(ThrottlingTest, WhatIsCriticalTwiceIsHeldWithTheSecondSample) {
  AddBudget("queue", "100");
  Says(10);
  Step();
  For(10min, 10);
  Later(1s);
  Says(220);
  EXPECT_GT(Step().rate, 0);
  Later(1s);
  Says(220);
  EXPECT_EQ(Step().rate, 0);
}

TEST_F(ThrottlingTest, WhereAMetricIsReadOftenTheNextSampleIsNewSooner) {
  AddBudget("queue", "100").timing.interval = "250ms";
  Says(10);
  Step();
  For(10min, 10);
  Later(200ms);
  Says(390);
  EXPECT_EQ(Step().rate, 0) << "200 ms after a sample that was fine";
}

TEST_F(ThrottlingTest, AShadowBudgetIsShownAndDoesNotAct) {
  AddBudget("queue", "100").enforce = false;
  Says(300);
  EXPECT_EQ(Step().rate, 500);
  EXPECT_EQ(view_.status->budgets[0].value, 300);
}

TEST_F(ThrottlingTest, CriticalHoldsAndIsRememberedByTheNextOperator) {
  AddBudget("queue", "100");
  Says(10);
  Step();
  For(10min, 10);
  For(20s, 250);
  EXPECT_EQ(view_.rate, 0);
  EXPECT_EQ(view_.limited_by, "Hold");
  EXPECT_EQ(view_.status->state, "Held");
  EXPECT_EQ(view_.status->holds, 1);
  EXPECT_NE(view_.status->held_since, "");
  const std::string since = view_.status->since;
  TakeOver();
  Later(5s);
  Says(10);
  Step();
  EXPECT_EQ(view_.rate, 0) << "the hold goes on";
  EXPECT_EQ(view_.status->holds, 1);
  EXPECT_EQ(view_.status->since, since);
}

TEST_F(ThrottlingTest, WhatATakenOverRateWasIsNotForgotten) {
  AddBudget("queue", "100");
  Says(60);
  Step();
  const double before = For(15min, 60).rate;
  ASSERT_GT(before, 20);
  TakeOver();
  Later(5s);
  Says(60);
  const double after = Step().rate;
  EXPECT_NEAR(after, before / 4, before / 20) << "a quarter, as after a pause";
}

TEST_F(ThrottlingTest, AfterATakeoverItGoesOnWithWhatWorkersWereGranted) {
  AddBudget("queue", "100");
  Says(60);
  Step();
  const double before = For(15min, 60).rate;
  TakeOver();
  closed_ = true;
  begun_ = true;
  Later(5s);
  Says(60);
  EXPECT_NEAR(Step().rate, before / 4, 1e-6) << "until any has said what it has";
  closed_ = false;
  open_.reported = 0;
  Later(1s);
  EXPECT_NEAR(Step().rate, before / 4, 1e-6);
  open_.reported = before * 0.5;
  Later(1s);
  EXPECT_NEAR(Step().rate, before * 0.5, 1e-6) << "at once, and not with the next tick";
  open_.reported = before * 0.9;
  Later(1s);
  EXPECT_NEAR(Step().rate, before * 0.9, 1e-6);
  EXPECT_NEAR(*view_.status->rate, before, 1e-6) << "for yet another operator";
  open_.reported.reset();
  Later(1s);
  EXPECT_NEAR(Step().rate, before * 0.9, 1e-6);
  open_.reported = 1;  // the stage was closed and is opened again
  Later(10s);
  EXPECT_GE(Step().rate, before * 0.9) << "this operator knows what it has granted";
}

TEST_F(ThrottlingTest, WhatItDoesIsNotedOnceForTheReport) {
  AddBudget("queue", "100");
  Says(60);
  Step();
  For(5min, 60);
  const std::size_t before = throttling_->changes().size();
  ASSERT_GE(before, 1u);
  EXPECT_EQ(throttling_->changes()[0].state, "Ramping");
  EXPECT_EQ(throttling_->changes()[0].budget, "queue");
  throttling_->ForgetChanges();
  For(40s, 130);
  ASSERT_EQ(throttling_->changes().size(), 1u);
  const api::ThrottleChange& limited = throttling_->changes()[0];
  EXPECT_EQ(limited.state, "Limited");
  EXPECT_EQ(limited.limited_by, "Budget");
  EXPECT_EQ(limited.reason, "queue 130 over 100");
  EXPECT_GT(limited.rate, 0);
  EXPECT_NE(ParseWallTime(limited.time), std::nullopt);
}

TEST_F(ThrottlingTest, WhatNobodyTakesIsBounded) {
  AddBudget("queue", "100");
  for (int i = 0; i < 1000; ++i) {
    paused_ = i % 2 == 0;
    Later(1s);
    Says(60);
    Step();
  }
  EXPECT_EQ(throttling_->changes().size(), 100u);
}

struct Watcher final : ThrottleWatcher {
  void Decided(const api::Backfill& b, const throttle::GovernorOptions& options,
               const throttle::Decision& decision) override {
    ++decisions;
    name = b.name;
    EXPECT_EQ(options.budgets.size(), decision.budgets.size());
  }
  void Released(const api::Backfill&) override {}
  int decisions = 0;
  std::string name;
};

TEST_F(ThrottlingTest, EachDecisionIsToldOnceToWhoWatches) {
  AddBudget("queue", "100");
  Says(60);
  Watcher watcher;
  const auto step = [&] {
    return throttling_->Step(
        {.backfill = b_, .open = &open_, .observations = observations_, .watcher = &watcher}, now_,
        wall_);
  };
  ASSERT_TRUE(step().ok());
  Later(1s);
  ASSERT_TRUE(step().ok());
  EXPECT_EQ(watcher.decisions, 1) << "between two ticks nothing is decided";
  Later(9s);
  ASSERT_TRUE(step().ok());
  EXPECT_EQ(watcher.decisions, 2);
  EXPECT_EQ(watcher.name, "reprice");
}

TEST_F(ThrottlingTest, NothingBeginsBeforeEachRequiredMetricHasAnswered) {
  AddBudget("queue", "100");
  closed_ = true;
  EXPECT_THAT(Step().waits_for, HasSubstr("queue: Error: no answer yet"));
  EXPECT_TRUE(view_.asks_first);
  observations_[0] = {throttle::Answer::kNoData, 0, now_, "no series"};
  EXPECT_THAT(Step().waits_for, HasSubstr("queue: NoData: no series"));
  EXPECT_FALSE(view_.asks_first);
  Says(1);
  EXPECT_EQ(Step().waits_for, "");
  observations_[0] = {throttle::Answer::kError, 0, now_, "refused"};
  begun_ = true;
  EXPECT_EQ(Step().waits_for, "") << "it is asked before the first record only";
}

TEST_F(ThrottlingTest, AStageThatIsOpenBeforeItsMetricHasAnsweredSendsNothing) {
  AddBudget("queue", "100");
  open_.totals.counts.updated = 0;
  EXPECT_THAT(Step().waits_for, HasSubstr("queue: Error: no answer yet"));
  EXPECT_EQ(view_.rate, 0);
  open_.totals.counts.updated = 1;
  EXPECT_EQ(Step().waits_for, "");
}

TEST_F(ThrottlingTest, WhileItWaitsForAMetricTheRateToBeginWithIsKept) {
  AddBudget("queue", "100");
  b_.spec.throttle.initial_records_per_second = 200;
  closed_ = true;
  observations_[0] = {throttle::Answer::kNoData, 0, now_, "no series"};
  for (int i = 0; i < 60; ++i) {
    Later(10s);
    EXPECT_EQ(Step().throttled, "");
    EXPECT_EQ(view_.status, std::nullopt);
    EXPECT_EQ(view_.limited_by, "MissingMetric");
  }
  Says(1);
  Step();
  closed_ = false;
  Later(1s);
  EXPECT_EQ(Step().rate, 200);
}

// Their metric comes with the first record, which would never come if it waited for the metric.
TEST_F(ThrottlingTest, WhatWorkersMeasureIsNotWaitedFor) {
  api::Budget& errors = AddBudget("errors", "0.02");
  errors.http.reset();
  errors.workers.emplace();
  observations_[0] = {throttle::Answer::kNoData, 0, now_, "no worker has reported yet"};
  closed_ = true;
  EXPECT_EQ(Step().waits_for, "");
}

TEST_F(ThrottlingTest, WhatIsNotMeasuredIsToldWithTheQuery) {
  AddBudget("queue", "100");
  Says(1);
  api::Budget& p99 = AddBudget("p99", "0.25");
  p99.http.reset();
  api::PrometheusMetric& asked = p99.prometheus.emplace();
  asked.address = "http://p:9090";
  asked.query = "nobody_measures_this";
  observations_[1] = {throttle::Answer::kNoData, 0, now_, "the query has no series"};
  closed_ = true;
  EXPECT_EQ(Step().waits_for, "p99: NoData: the query has no series (nobody_measures_this)");
}

TEST_F(ThrottlingTest, AZoneThatThereIsNotLetsNothingBeSent) {
  b_.spec.schedule.emplace().time_zone = "Europe/Atlantis";
  const auto view =
      throttling_->Step({.backfill = b_, .open = &open_, .observations = {}}, now_, wall_);
  ASSERT_FALSE(view.ok());
  EXPECT_EQ(view.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(view.error().message, HasSubstr("spec.schedule.timeZone"));
}

TEST_F(ThrottlingTest, OfManyBudgetsTheUnreadableAndTheTightestAreShown) {
  for (int i = 0; i < 8; ++i) {
    AddBudget("b" + std::to_string(i), "100");
    Says(10.0 * i, static_cast<std::size_t>(i));
  }
  observations_[2] = {throttle::Answer::kError, 0, now_, "refused"};
  Step();
  std::vector<std::string> names;
  for (const api::BudgetStatus& budget : view_.status->budgets) names.push_back(budget.name);
  EXPECT_THAT(names, testing::ElementsAre("b2", "b7", "b6", "b5", "b4"));
}

}  // namespace
}  // namespace backfill::reconcile
