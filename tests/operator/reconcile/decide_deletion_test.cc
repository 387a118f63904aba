// How a Backfill on a cluster goes: finalizer first (R24), and on deletion nothing of it stays.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using api::Phase;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::VariantWith;
using namespace std::chrono_literals;

class DeletionTest : public DecideTest {
 protected:
  DeletionTest() {
    o_.needs_finalizer = true;
    o_.backfill.finalizers = {api::kDrainFinalizer};
  }
  void Deleted() { o_.backfill.deletion_time = FormatWallTime(now_); }
  void Since(Duration d) { o_.deleting_for = d; }
  void ForceDelete() { o_.backfill.annotations[api::kForceDeleteAnnotation] = "true"; }
  void RunUnderWay() {
    RealRun();
    Planned();
    ReportBegun();
    Opened(o_.run, 4);
    Step();
    ASSERT_EQ(ConditionOf("Ready"), "True/Running");
  }
  void Closed(ObservedStage& stage) { stage.open.reset(); }
  static testing::Matcher<const std::vector<Action>&> Stops(Stage stage) {
    return Contains(VariantWith<StopWorkers>(StopWorkers{stage}));
  }
};

TEST_F(DeletionTest, R24_TheFinalizerComesBeforeAnySideEffect) {
  o_.backfill.finalizers.clear();
  for (const bool dry_run : {true, false}) {
    if (!dry_run) RealRun();
    EXPECT_THAT(Step().actions, ElementsAre(VariantWith<AddFinalizer>(AddFinalizer{})));
    EXPECT_EQ(ConditionOf("Ready"), "Unknown/Pending");
    EXPECT_EQ(PhaseNow(), Phase::kPending);
  }
  o_.backfill.finalizers = {"example.com/other", api::kDrainFinalizer};
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<MakePlan>(MakePlan{})));
}

TEST_F(DeletionTest, OneMachineNeedsNoFinalizer) {
  o_.needs_finalizer = false;
  o_.backfill.finalizers.clear();
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<MakePlan>(MakePlan{})));
}

TEST_F(DeletionTest, AFinalizerThatIsRefusedIsShown) {
  o_.backfill.finalizers.clear();
  o_.last_error = Error{ErrorCode::kPermission, "adding the finalizer: not allowed to patch"};
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<AddFinalizer>(AddFinalizer{})));
  EXPECT_EQ(ConditionOf("Ready"), "False/Forbidden");
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
}

TEST_F(DeletionTest, ARunIsDrainedReportedAsCancelledAndLetGo) {
  RunUnderWay();
  Deleted();
  Step();
  EXPECT_TRUE(Configured()->paused) << "leases stop first";
  EXPECT_THAT(decision_.actions, Stops(Stage::kRun));
  EXPECT_THAT(decision_.actions, Not(Contains(VariantWith<CloseStage>(testing::_))));
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Deleting");
  EXPECT_EQ(ConditionOf("Ready"), "True/Running") << "as before";
  EXPECT_EQ(PhaseNow(), Phase::kRunning);
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/Running");
  EXPECT_FALSE(decision_.remove_finalizer);

  WorkersGone(o_.run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kRun})));
  Closed(o_.run);
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kCancelled})));
  EXPECT_FALSE(decision_.remove_finalizer);
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/Running") << "not before it is durable";
  o_.report = ReportState::kCancelled;

  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
  EXPECT_EQ(PhaseNow(), Phase::kCancelled);
  EXPECT_EQ(ConditionOf("Succeeded"), "False/Cancelled");
  EXPECT_EQ(ConditionOf("Ready"), "True/Running") << "as before";
  EXPECT_EQ(o_.backfill.status.progress->records, 400U);
  EXPECT_EQ(o_.backfill.status.report, "reprice-report");

  EXPECT_TRUE(Step().remove_finalizer) << "until it is gone";
}

TEST_F(DeletionTest, ADryRunLeavesNoReport) {
  Planned();
  Opened(o_.dry_run, 4);
  Deleted();
  EXPECT_THAT(Step().actions, Stops(Stage::kDryRun));
  WorkersGone(o_.dry_run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kDryRun})));
  Closed(o_.dry_run);
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
  EXPECT_EQ(ConditionOf("Succeeded"), "False/Cancelled");
}

TEST_F(DeletionTest, WhatWasNeverBegunGoesAtOnce) {
  Deleted();
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
  EXPECT_EQ(PhaseNow(), Phase::kCancelled);
  for (const char* type :
       {"Ready", "Succeeded", "Planned", "Approved", "Paused", "Throttled", "Verified"})
    EXPECT_NE(ConditionOf(type), "-") << type;
}

TEST_F(DeletionTest, WhatHasEndedStaysAsItEnded) {
  RealRun();
  Planned();
  o_.run.ledger->totals = TotalsOf(10, 10, 100);
  o_.report = ReportState::kCompleted;
  Step();
  ASSERT_EQ(ConditionOf("Succeeded"), "True/Completed");
  const std::string since = SinceOf("Succeeded");
  Later(1h);
  Deleted();
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
  EXPECT_EQ(SinceOf("Succeeded"), since);
  EXPECT_EQ(PhaseNow(), Phase::kCompleted);
}

TEST_F(DeletionTest, AnEndThatIsInTheReportAlreadyIsNotCalledOff) {
  RunUnderWay();
  o_.run.ledger->totals = TotalsOf(10, 10, 100);
  WorkersGone(o_.run);
  Closed(o_.run);
  o_.report = ReportState::kCompleted;
  Deleted();
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
  EXPECT_TRUE(decision_.remove_finalizer);
}

TEST_F(DeletionTest, WorkersThatDoNotEndAreWaitedForUntilTheirLeasesHaveLapsed) {
  RunUnderWay();
  Deleted();
  Since(119s);
  Step();
  EXPECT_THAT(decision_.actions, Not(Contains(VariantWith<CloseStage>(testing::_))));
  Since(120s);
  Step();
  EXPECT_THAT(decision_.actions, Contains(VariantWith<CloseStage>(CloseStage{Stage::kRun})));
  EXPECT_EQ(MessageOf("Reconciling"), kDrainTimedOut);
  Closed(o_.run);  // what is no longer talked to stops within its fence

  Since(184s);
  EXPECT_THAT(Step().actions, Stops(Stage::kRun));
  EXPECT_FALSE(decision_.remove_finalizer);
  Since(185s);
  EXPECT_THAT(Step().actions,
              Contains(VariantWith<FinishReport>(FinishReport{ReportState::kCancelled})));
  EXPECT_FALSE(decision_.remove_finalizer);
  o_.report = ReportState::kCancelled;
  EXPECT_TRUE(Step().remove_finalizer);
}

TEST_F(DeletionTest, AStageThatIsOpenIsNeverLetGo) {
  RunUnderWay();
  Deleted();
  Since(24h);
  EXPECT_FALSE(Step().remove_finalizer) << "its workers are still being answered";
}

TEST_F(DeletionTest, ForceSkipsTheWaitsButNotTheOrder) {
  RunUnderWay();
  Deleted();
  ForceDelete();
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_THAT(decision_.actions,
              ElementsAre(VariantWith<ConfigureStage>(testing::_),
                          VariantWith<CloseStage>(CloseStage{Stage::kRun}),
                          VariantWith<StopWorkers>(StopWorkers{Stage::kRun}),
                          VariantWith<FinishReport>(FinishReport{ReportState::kCancelled})));
  EXPECT_TRUE(decision_.remove_finalizer);
  EXPECT_EQ(ConditionOf("Succeeded"), "False/Cancelled");
}

TEST_F(DeletionTest, ForceDoesNotStayForWhatIsRefused) {
  RunUnderWay();
  Deleted();
  ForceDelete();
  o_.last_error = Error{ErrorCode::kPermission, "stopping workers: not allowed to delete Jobs"};
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
}

TEST_F(DeletionTest, OnlyTheWordTrueForces) {
  RunUnderWay();
  Deleted();
  o_.backfill.annotations[api::kForceDeleteAnnotation] = "yes";
  EXPECT_FALSE(Step().remove_finalizer);
}

TEST_F(DeletionTest, AReportThatCannotBeWrittenKeepsItFor120SecondsOnly) {
  RunUnderWay();
  WorkersGone(o_.run);
  Closed(o_.run);
  Deleted();
  o_.last_error = Error{ErrorCode::kInvalid, "writing the report: it is immutable"};
  Since(119s);
  EXPECT_FALSE(Step().remove_finalizer);
  Since(120s);
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
}

// Kubernetes removes pods before it deletes anything else, and they wait for their Job to go.
TEST_F(DeletionTest, R30_InANamespaceThatGoesWorkersAndLedgerAreLetGoBeforeItIsDeleted) {
  RunUnderWay();
  o_.run.pool.namespace_goes = true;
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<ConfigureStage>(testing::_),
                                          VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Deleting");
  EXPECT_FALSE(decision_.remove_finalizer) << "nobody has deleted it yet";
  WorkersGone(o_.run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kRun})));
  Closed(o_.run);
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.settled);
  Deleted();
  o_.report = ReportState::kNone;
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
}

// A namespace that goes takes the report with it and refuses another (R30).
TEST_F(DeletionTest, AReportThatIsGoneIsNotMadeAgain) {
  RunUnderWay();
  WorkersGone(o_.run);
  Closed(o_.run);
  Deleted();
  o_.report = ReportState::kNone;
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
  EXPECT_EQ(ConditionOf("Succeeded"), "False/Cancelled");
}

TEST_F(DeletionTest, OfAnotherRunOfTheNameTheReportIsLeftAlone) {
  RealRun();
  Planned();
  o_.report = ReportState::kOtherRun;
  Deleted();
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_TRUE(decision_.remove_finalizer);
}

TEST_F(DeletionTest, ThatSomebodyElseKeepsItIsNotOurs) {
  RunUnderWay();
  o_.backfill.finalizers = {"example.com/other"};
  WorkersGone(o_.run);
  Closed(o_.run);
  o_.report = ReportState::kCancelled;
  Deleted();
  Step();
  EXPECT_FALSE(decision_.remove_finalizer);
  EXPECT_TRUE(decision_.settled);
}

TEST_F(DeletionTest, ReconcilingAndStalledAreNeverBothThere) {
  RunUnderWay();
  o_.run.pool.config_error = true;
  Step();
  ASSERT_EQ(ConditionOf("Stalled"), "True/WorkerConfigError");
  Deleted();
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  EXPECT_EQ(ConditionOf("Ready"), "False/WorkerConfigError") << "as before";
}

TEST_F(DeletionTest, ASpecThatCannotBeUnderstoodIsDeletedAllTheSame) {
  RunUnderWay();
  o_.invalid = Error{ErrorCode::kInvalid, "spec.target: no such field"};
  o_.backfill.spec = {};
  Deleted();
  EXPECT_THAT(Step().actions, Stops(Stage::kRun));
  WorkersGone(o_.run);
  Step();
  Closed(o_.run);
  o_.report = ReportState::kCancelled;
  EXPECT_TRUE(Step().remove_finalizer);
}

}  // namespace
}  // namespace backfill::reconcile
