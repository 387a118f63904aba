#include "operator/reconcile/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using api::Phase;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::VariantWith;
using namespace std::chrono_literals;

TEST_F(DecideTest, PlansFirst) {
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<MakePlan>(MakePlan{})));
  EXPECT_EQ(PhaseNow(), Phase::kPlanning);
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Planning");
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Planning");
  EXPECT_EQ(ConditionOf("Planned"), "Unknown/Planning");
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/DryRun");
  EXPECT_FALSE(decision_.settled);
}

TEST_F(DecideTest, DryRunIsTheDefaultAndNeedsNoReport) {
  Planned();
  Step();
  EXPECT_THAT(decision_.actions,
              ElementsAre(VariantWith<OpenStage>(OpenStage{Stage::kDryRun}),
                          VariantWith<ConfigureStage>(testing::_),
                          VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kDryRun, 2})));
  EXPECT_TRUE(Configured()->unlimited);
  EXPECT_EQ(PhaseNow(), Phase::kDryRunning);
  EXPECT_EQ(ConditionOf("Ready"), "True/DryRunning");
  EXPECT_EQ(ConditionOf("Approved"), "Unknown/NotPlanned");
}

TEST_F(DecideTest, ADryRunThatSendsRequestsObeysTheDeclaredRate) {
  Planned();
  o_.backfill.spec.target.dry_run.emplace();
  o_.backfill.spec.throttle.max_records_per_second = 50;
  Step();
  EXPECT_FALSE(Configured()->unlimited);
  EXPECT_EQ(Configured()->records_per_second, 50);
}

TEST_F(DecideTest, AFinishedDryRunIsReportedThenClosedThenWaits) {
  Planned();
  Opened(o_.dry_run, 10);
  EXPECT_THAT(Step().actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kDryRun})));
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Draining");

  WorkersGone(o_.dry_run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<WriteDryRunReport>(WriteDryRunReport{})));
  o_.backfill.status.dry_run = api::ProgressStatus{};

  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kDryRun})));
  EXPECT_FALSE(decision_.settled);
  o_.dry_run.open.reset();

  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.settled);
  EXPECT_EQ(PhaseNow(), Phase::kAwaitingApproval);
  EXPECT_EQ(ConditionOf("Ready"), "True/DryRunCompleted");
  EXPECT_EQ(ConditionOf("Approved"), "False/DryRun");
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/DryRun");
}

TEST_F(DecideTest, TurningTheDryRunOffWindsItDownBeforeTheRunBegins) {
  Planned();
  Opened(o_.dry_run, 3);
  RealRun();
  Step();
  EXPECT_THAT(decision_.actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kDryRun})));
  EXPECT_THAT(decision_.actions, testing::Not(Contains(VariantWith<OpenStage>(testing::_))));
  EXPECT_TRUE(Configured()->paused);
}

TEST_F(DecideTest, TheReportComesBeforeTheFirstLease) {
  RealRun();
  Planned();
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CreateReport>(CreateReport{})));
  ReportBegun();
  Step();
  EXPECT_THAT(decision_.actions,
              ElementsAre(VariantWith<OpenStage>(OpenStage{Stage::kRun}),
                          VariantWith<ConfigureStage>(testing::_),
                          VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 2})));
  EXPECT_EQ(PhaseNow(), Phase::kRunning);
  EXPECT_EQ(ConditionOf("Approved"), "True/NotRequired");
  EXPECT_EQ(Configured()->records_per_second, 500);
  EXPECT_FALSE(Configured()->unlimited);
}

TEST_F(DecideTest, ASecondBackfillOfTheNameNeverRuns) {
  RealRun();
  o_.report = ReportState::kOtherRun;
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Stalled"), "True/AlreadyRan");
  EXPECT_EQ(ConditionOf("Ready"), "False/AlreadyRan");
  EXPECT_TRUE(decision_.settled);
  Planned();
  EXPECT_THAT(Step().actions, IsEmpty());
}

TEST_F(DecideTest, ADryRunMayUseTheNameOfAnEarlierRun) {
  o_.report = ReportState::kOtherRun;
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<MakePlan>(MakePlan{})));
}

TEST_F(DecideTest, AForeignConfigMapIsNotTouched) {
  RealRun();
  Planned();
  o_.report = ReportState::kNotAReport;
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Stalled"), "True/NameConflict");
}

TEST_F(DecideTest, LiveFieldsReachTheStage) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  o_.backfill.spec.throttle.max_records_per_second = 7;
  o_.backfill.spec.workers.concurrency = 3;
  o_.backfill.spec.workers.replicas = 9;
  o_.backfill.spec.failure_policy.attempts = 2;
  o_.backfill.spec.throttle.worker.retry_budget_percent = 0;
  Step();
  EXPECT_EQ(*Configured(), (LiveSettings{.paused = false,
                                         .records_per_second = 7,
                                         .unlimited = false,
                                         .concurrency = 3,
                                         .attempts = 2,
                                         .retry_budget_percent = 0}));
  EXPECT_THAT(decision_.actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 9})));
}

TEST_F(DecideTest, TheNumberOfWorkersCanBeCapped) {
  RealRun();
  Planned();
  ReportBegun();
  o_.max_replicas = 1;
  Step();
  EXPECT_THAT(decision_.actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 1})));
}

TEST_F(DecideTest, EitherWayOfPausingStopsTheLeases) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  PausedBy("incident 4711");
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(PhaseNow(), Phase::kPaused);
  EXPECT_EQ(ConditionOf("Paused"), "True/AnnotationPaused");
  EXPECT_EQ(MessageOf("Paused"), "incident 4711");
  EXPECT_EQ(ConditionOf("Ready"), "True/Paused");
  EXPECT_EQ(ConditionOf("Stalled"), "-");

  o_.backfill.annotations.clear();
  o_.backfill.spec.paused = true;
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(ConditionOf("Paused"), "True/SpecPaused");

  o_.backfill.spec.paused = false;
  Step();
  EXPECT_FALSE(Configured()->paused);
  EXPECT_EQ(PhaseNow(), Phase::kRunning);
  EXPECT_EQ(ConditionOf("Paused"), "False/NotPaused");
}

TEST_F(DecideTest, NothingBeginsWhilePaused) {
  RealRun();
  Planned();
  PausedBy("later");
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.settled);
  EXPECT_EQ(PhaseNow(), Phase::kPaused);
}

TEST_F(DecideTest, ADryRunThatSendsNothingShowsNoLimit) {
  Planned();
  o_.backfill.spec.throttle.max_records_per_second = 50;
  Opened(o_.dry_run, 4).attempts_per_second = 1000;
  Step();
  EXPECT_EQ(o_.backfill.status.rate->limit, 0);
  EXPECT_EQ(o_.backfill.status.rate->limited_by, "Workers");
}

TEST_F(DecideTest, CompletesInTwoStepsOnceEverythingIsDurable) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 10).flushed = false;
  Step();
  EXPECT_EQ(ConditionOf("Reconciling"), "-") << "covered in memory only";

  o_.run.open->flushed = true;
  EXPECT_THAT(Step().actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Draining");
  WorkersGone(o_.run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kRun})));
  o_.run.open.reset();
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kCompleted})));
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/Running");
  o_.report = ReportState::kCompleted;
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(PhaseNow(), Phase::kCompleted);
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  EXPECT_EQ(o_.backfill.status.progress->records, 1000U);
  EXPECT_EQ(o_.backfill.status.progress->ratio, "1.000");
  EXPECT_TRUE(decision_.settled);

  EXPECT_THAT(Step().actions, IsEmpty()) << "and stays so";
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
}

TEST_F(DecideTest, ARunThatIsCoveredCompletesEvenWhilePaused) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 10);
  PausedBy("too late");
  WorkersGone(o_.run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kRun})));
}

TEST_F(DecideTest, AnEmptySourceCompletes) {
  RealRun();
  Planned();
  o_.backfill.status.plan->shards = 0;
  o_.backfill.status.plan->records = 0;
  o_.run.ledger->totals = {};
  ReportBegun();
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kCompleted})));
}

TEST_F(DecideTest, AnEmptySourceCompletesAlsoWhilePaused) {
  RealRun();
  Planned();
  o_.backfill.status.plan->shards = 0;
  o_.backfill.status.plan->records = 0;
  o_.run.ledger->totals = {};
  o_.backfill.spec.paused = true;
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CreateReport>(CreateReport{})));
  ReportBegun();
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kCompleted})));
}

TEST_F(DecideTest, TheStatusNamesTheReportThatIsThere) {
  RealRun();
  Planned();
  Step();
  EXPECT_EQ(o_.backfill.status.report, "") << "not before it is";
  ReportBegun();
  Step();
  EXPECT_EQ(o_.backfill.status.report, "reprice-report");
}

TEST_F(DecideTest, AnotherBatchSizeReopensTheStage) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  o_.backfill.spec.workers.batch_size = 20;
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_THAT(decision_.actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Reconciling"), "True/ReplacingWorkers");
  EXPECT_EQ(PhaseNow(), Phase::kRunning);
  WorkersGone(o_.run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kRun})));
  o_.run.open.reset();
  EXPECT_THAT(Step().actions, Contains(VariantWith<OpenStage>(OpenStage{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
}

TEST_F(DecideTest, ObservedGenerationMovesAlsoWhilePausedAndOnEveryCondition) {
  RealRun();
  Planned();
  PausedBy("x");
  o_.backfill.generation = 7;
  Step();
  EXPECT_EQ(o_.backfill.status.observed_generation, 7);
  for (const api::Condition& c : o_.backfill.status.conditions)
    EXPECT_EQ(c.observed_generation, 7) << c.type;
}

TEST_F(DecideTest, TransitionTimesMoveWithTheStatusOnly) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  Step();
  const std::string begin = FormatWallTime(kNow);
  EXPECT_EQ(SinceOf("Paused"), begin);

  Later(1h);
  PausedBy("incident");
  Step();
  EXPECT_EQ(SinceOf("Paused"), FormatWallTime(now_)) << "False became True";
  EXPECT_EQ(SinceOf("Ready"), begin) << "the reason is another, the status is not";

  const std::string paused = SinceOf("Paused");
  Later(1h);
  PausedBy("still that incident");
  Step();
  EXPECT_EQ(SinceOf("Paused"), paused);
  EXPECT_EQ(MessageOf("Paused"), "still that incident");
}

TEST_F(DecideTest, WhatLastsDoesNotChangeTheStatusAgain) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 10);
  Step();  // drains: a condition that comes and goes is there
  ASSERT_EQ(ConditionOf("Reconciling"), "True/Draining");
  const api::Status before = o_.backfill.status;
  Later(1min);
  EXPECT_EQ(Step().status, before);
}

struct LimitCase {
  double current;
  int connected;
  bool holds_back;
  const char* limited_by;
};
class LimitedByTest : public DecideTest, public testing::WithParamInterface<LimitCase> {};
TEST_P(LimitedByTest, SaysWhatLimitsTheRate) {
  RealRun();
  Planned();
  ReportBegun();
  StageSnapshot& open = Opened(o_.run, 5);
  open.attempts_per_second = GetParam().current;
  open.connected = GetParam().connected;
  open.target_holds_back = GetParam().holds_back;
  Step();
  EXPECT_EQ(o_.backfill.status.rate->limited_by, GetParam().limited_by);
  EXPECT_EQ(o_.backfill.status.rate->limit, 500);
}
INSTANTIATE_TEST_SUITE_P(Table, LimitedByTest,
                         testing::Values(LimitCase{499, 2, false, "Max"},
                                         LimitCase{100, 2, false, "Workers"},
                                         LimitCase{499, 0, false, "Workers"},
                                         LimitCase{300, 2, true, "TargetLatency"}));

}  // namespace
}  // namespace backfill::reconcile
