// What goes wrong: failures beyond the budget, errors, lost workers, damage.
#include "operator/reconcile/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using api::Phase;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::VariantWith;
using namespace std::chrono_literals;

TEST_F(DecideTest, APlanThatCannotBeMadeNeedsAPerson) {
  o_.last_error = Error{ErrorCode::kInvalid, "1000 shards too many"};
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  EXPECT_EQ(ConditionOf("Planned"), "False/PlanFailed");
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  EXPECT_TRUE(decision_.settled);
}

TEST_F(DecideTest, APlanThatFailsForNowIsTriedAgain) {
  o_.last_error = Error{ErrorCode::kUnavailable, "disk full"};
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<MakePlan>(MakePlan{})));
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
}

TEST_F(DecideTest, TheFailureBudgetPauses) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4).totals.counts.failed = 11;
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(PhaseNow(), Phase::kPaused);
  EXPECT_EQ(ConditionOf("Stalled"), "True/FailureBudgetExceeded");
  EXPECT_EQ(ConditionOf("Paused"), "True/FailureBudgetExceeded");
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/Paused");
  EXPECT_THAT(MessageOf("Stalled"), HasSubstr("over maxFailedRecords 10"));

  o_.backfill.spec.failure_policy.max_failed_records = 20;  // a person has looked
  Step();
  EXPECT_FALSE(Configured()->paused);
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  EXPECT_EQ(PhaseNow(), Phase::kRunning);
}

TEST_F(DecideTest, WhatCannotReadItsReportStopsAllTheSameWhenItMust) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  o_.unseen = Error{ErrorCode::kPermission, "configmaps is forbidden"};
  EXPECT_TRUE(Step().actions.empty());
  PausedBy("the target burns");
  Step();
  ASSERT_NE(Configured(), nullptr);
  EXPECT_TRUE(Configured()->paused);
  o_.backfill.annotations.clear();
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  o_.run.open->totals.counts.failed = 11;
  Step();
  ASSERT_NE(Configured(), nullptr);
  EXPECT_TRUE(Configured()->paused);
}

TEST_F(DecideTest, WorkersThatAnEarlierLeaderLeftBehindTheBudgetAreLetGo) {
  RealRun();
  Planned();
  ReportBegun();
  o_.backfill.spec.failure_policy.max_failed_records = 3;
  o_.run.ledger = LedgerSummary{kHash, TotalsOf(10, 5, 100, 4)};
  o_.run.pool.alive = 2;
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/FailureBudgetExceeded");
  EXPECT_TRUE(std::ranges::any_of(decision_.actions, [](const Action& a) {
    return std::holds_alternative<StopWorkers>(a);
  })) << "the stage is closed, so nobody serves them";
  WorkersGone(o_.run);
  EXPECT_TRUE(Step().actions.empty());
  EXPECT_TRUE(decision_.settled);
}

TEST_F(DecideTest, TheFailureBudgetFailsWhereThatIsDeclared) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4).totals.counts.failed = 11;
  o_.run.ledger->totals.counts.failed = 11;
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  o_.backfill.spec.failure_policy.on_exceeded = api::OnExceeded::kFail;
  EXPECT_THAT(Step().actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/Running") << "not before all is wound down";

  WorkersGone(o_.run);
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<CloseStage>(CloseStage{Stage::kRun})));
  o_.run.open.reset();
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kFailed})));
  o_.report = ReportState::kFailed;
  o_.backfill.spec.failure_policy.max_failed_records = 20;  // too late: the decision is durable
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(PhaseNow(), Phase::kFailed);
  EXPECT_EQ(ConditionOf("Succeeded"), "False/FailureBudgetExceeded");
  EXPECT_EQ(ConditionOf("Ready"), "False/FailureBudgetExceeded");
  EXPECT_TRUE(decision_.settled);
}

TEST_F(DecideTest, TheFailureBudgetHoldsAlsoOnceAllRecordsHaveAnOutcome) {
  RealRun();
  Planned();
  ReportBegun();
  o_.run.ledger->totals = TotalsOf(10, 10, 100, 11);
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Stalled"), "True/FailureBudgetExceeded");
  EXPECT_EQ(PhaseNow(), Phase::kPaused);
  EXPECT_TRUE(decision_.settled);

  o_.backfill.spec.failure_policy.max_failed_records = 11;  // a person has looked
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kCompleted})));
}

TEST_F(DecideTest, RecordsThatFinishWhileAFailureDrainsDoNotMakeItASuccess) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 9).totals.counts.failed = 11;
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  o_.backfill.spec.failure_policy.on_exceeded = api::OnExceeded::kFail;
  Step();
  Opened(o_.run, 10).totals = TotalsOf(10, 10, 100, 12);
  Step();
  WorkersGone(o_.run);
  Step();
  o_.run.open.reset();
  o_.run.ledger->totals = TotalsOf(10, 10, 100, 12);
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kFailed})));
}

TEST_F(DecideTest, WhatTheReportHasDecidedNoBudgetChanges) {
  RealRun();
  Planned();
  o_.run.ledger->totals = TotalsOf(10, 10, 100, 11);
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  o_.report = ReportState::kCompleted;
  Step();
  EXPECT_EQ(ConditionOf("Succeeded"), "True/CompletedWithFailures");
}

TEST_F(DecideTest, TheFailureBudgetPausesADryRunThatSendsRequests) {
  Planned();
  o_.backfill.spec.target.dry_run.emplace();
  o_.backfill.spec.throttle.max_records_per_second = 50;
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  o_.backfill.spec.failure_policy.on_exceeded = api::OnExceeded::kFail;  // there is no run to fail
  Opened(o_.dry_run, 4).totals.counts.failed = 11;
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(ConditionOf("Stalled"), "True/FailureBudgetExceeded");
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/DryRun");
  EXPECT_EQ(PhaseNow(), Phase::kPaused);

  Opened(o_.dry_run, 10).totals.counts.failed = 11;
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/FailureBudgetExceeded") << "also at its end";
  o_.backfill.spec.failure_policy.max_failed_records = 11;
  EXPECT_THAT(Step().actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kDryRun})));
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Draining");
}

TEST_F(DecideTest, FailedRecordsWithinTheBudgetAreNamedAtTheEnd) {
  RealRun();
  Planned();
  o_.run.ledger->totals = TotalsOf(10, 10, 100, 3);
  o_.report = ReportState::kCompleted;
  Step();
  EXPECT_EQ(ConditionOf("Succeeded"), "True/CompletedWithFailures");
  EXPECT_EQ(MessageOf("Succeeded"), "3 records failed");
}

TEST_F(DecideTest, OutcomesThatDoNotAddUpAreNeverASuccess) {
  RealRun();
  Planned();
  ReportBegun();
  o_.run.ledger->totals = TotalsOf(10, 10, 100);
  o_.run.ledger->totals.counts.updated -= 1;
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kFailed})));
  o_.report = ReportState::kFailed;
  Step();
  EXPECT_EQ(ConditionOf("Verified"), "False/AccountingMismatch");
  EXPECT_EQ(ConditionOf("Succeeded"), "False/VerificationFailed");
}

TEST_F(DecideTest, ManyWorkersMayAllEndAtOnce) {
  RealRun();
  Planned();
  ReportBegun();
  o_.backfill.spec.workers.replicas = 6;
  Opened(o_.run);
  o_.run.failures_since_session = 29;
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  o_.run.failures_since_session = 30;
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/WorkersUnavailable");
  WorkersGone(o_.run);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/WorkersUnavailable") << "also once they are stopped";
}

TEST_F(DecideTest, WorkersThatEndBeforeTheyConnectNeedAPerson) {
  RealRun();
  Planned();
  ReportBegun();
  o_.backfill.spec.workers.replicas = 1;
  Opened(o_.run).connected = 0;
  o_.run.pool.last_failure = "run-0 exited with 1";
  o_.run.failures_since_session = 4;
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  o_.run.failures_since_session = 5;
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/WorkersUnavailable");
  EXPECT_THAT(MessageOf("Stalled"), HasSubstr("run-0 exited with 1"));
  EXPECT_THAT(decision_.actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
}

TEST_F(DecideTest, AWorkerThatNoRetryCanHealStopsThemAll) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run);
  o_.run.pool.config_error = true;
  o_.run.pool.last_failure = "run-1 exited with 78";
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/WorkerConfigError");
  EXPECT_TRUE(Configured()->paused);
}

TEST_F(DecideTest, ADamagedLedgerIsKeptAndNothingRuns) {
  RealRun();
  Planned();
  ReportBegun();
  o_.run.ledger.reset();
  o_.run.ledger_error = Error{ErrorCode::kInternal, "chunk 3: wrong checksum"};
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Stalled"), "True/LedgerCorrupt");
  EXPECT_EQ(MessageOf("Stalled"), "chunk 3: wrong checksum");

  o_.run.ledger_error.reset();
  Step();
  EXPECT_EQ(MessageOf("Stalled"), "the ledger is gone");

  o_.run.ledger = LedgerSummary{"sha256:other", TotalsOf(10, 0, 100)};
  Step();
  EXPECT_THAT(MessageOf("Stalled"), HasSubstr("sha256:other"));
}

TEST_F(DecideTest, AnotherLeaderEndsThisOne) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run).error = Error{ErrorCode::kConflict, "epoch 4 has written chunk 0"};
  EXPECT_THAT(Step().actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Ready"), "False/LeadershipLost");
}

TEST_F(DecideTest, AStoreThatRefusesWritesIsShownAndRetried) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run).error = Error{ErrorCode::kUnavailable, "disk full"};
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
  EXPECT_EQ(ConditionOf("Stalled"), "-");
}

TEST_F(DecideTest, ADamagedLedgerOfADryRunThatIsOverDoesNotMatter) {
  RealRun();
  Planned();
  ReportBegun();
  o_.dry_run.ledger_error = Error{ErrorCode::kInternal, "chunk 0: wrong checksum"};
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  EXPECT_THAT(decision_.actions, Contains(VariantWith<OpenStage>(OpenStage{Stage::kRun})));
}

TEST_F(DecideTest, AnErrorAtTheEndIsShown) {
  RealRun();
  Planned();
  ReportBegun();
  o_.run.ledger->totals = TotalsOf(10, 10, 100);
  o_.last_error = Error{ErrorCode::kUnavailable, "writing the report: disk full"};
  EXPECT_THAT(Step().actions,
              ElementsAre(VariantWith<FinishReport>(FinishReport{ReportState::kCompleted})));
  EXPECT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
  EXPECT_EQ(MessageOf("Ready"), "writing the report: disk full");
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Draining");
  EXPECT_FALSE(decision_.settled);
}

TEST_F(DecideTest, AnErrorAtTheEndOfADryRunIsShown) {
  Planned();
  Opened(o_.dry_run, 10);
  WorkersGone(o_.dry_run);
  o_.last_error = Error{ErrorCode::kUnavailable, "writing the dry run's report: disk full"};
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<WriteDryRunReport>(WriteDryRunReport{})));
  EXPECT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Draining");
}

TEST_F(DecideTest, AnErrorThatLastsNeedsAPersonAndIsStillRetried) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  Step();
  o_.run.open->error = Error{ErrorCode::kUnavailable, "disk full"};
  Later(1h);
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  Later(9min + 59s);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  Later(1s);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/StoreUnavailable");
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  EXPECT_EQ(MessageOf("Stalled"), "disk full");
  EXPECT_THAT(decision_.actions, Contains(VariantWith<ScaleWorkers>(testing::_)));

  o_.run.open->error.reset();  // it heals by itself
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  EXPECT_EQ(ConditionOf("Ready"), "True/Running");
}

TEST_F(DecideTest, ShardsThatWaitForLostWorkersAreNamed) {
  RealRun();
  Planned();
  ReportBegun();
  StageSnapshot& open = Opened(o_.run, 4);
  open.frozen_shards = 2;
  open.frozen_for = 11'500ms;
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "True/Running");
  EXPECT_EQ(MessageOf("Ready"), "2 shards wait 12 s for requests of lost workers to end");
  open.frozen_shards = 1;
  open.frozen_for = 200ms;
  Step();
  EXPECT_EQ(MessageOf("Ready"), "1 shard waits 1 s for requests of lost workers to end");
  open.frozen_shards = 0;
  Step();
  EXPECT_EQ(MessageOf("Ready"), "");
}

TEST_F(DecideTest, WhatWorkersHoldBackByThemselvesIsNamedWithTheReason) {
  RealRun();
  Planned();
  ReportBegun();
  StageSnapshot& open = Opened(o_.run, 4);
  open.connected = open.working = 3;
  open.attempts_per_second = 40;
  open.target_holds_back = true;
  open.held_by_workers = {.slow = 2, .slowdown = 8.3};
  Step();
  EXPECT_EQ(o_.backfill.status.rate->limited_by, "TargetLatency");
  EXPECT_EQ(MessageOf("Ready"),
            "2 of 3 workers send less than they may: the target is 5 times slower than usual");
  open.held_by_workers = {.slow = 1, .slowdown = 1.4, .refused = 3};
  Step();
  EXPECT_EQ(o_.backfill.status.rate->limited_by, "TargetRefusals");
  EXPECT_EQ(MessageOf("Ready"),
            "3 of 3 workers send less than they may: the target refuses them; "
            "1 of 3 workers send less than they may: the target is slower than usual");
  open.held_by_workers = {};
  open.retries_spent = true;
  Step();
  EXPECT_EQ(o_.backfill.status.rate->limited_by, "TargetRefusals");
  EXPECT_EQ(MessageOf("Ready"), "retries are as many as they may be");
  open.working = open.without_target = 2;
  open.target_trouble = "connection refused";
  Step();
  EXPECT_EQ(MessageOf("Ready"), "the target cannot be reached: connection refused")
      << "then it is no wonder";
}

TEST_F(DecideTest, ATargetThatCannotBeReachedIsNamedWithTheReason) {
  RealRun();
  Planned();
  ReportBegun();
  StageSnapshot& open = Opened(o_.run, 4);
  open.connected = 3;
  open.working = 2;
  open.without_target = 2;
  open.target_trouble = "connecting: Connection refused";
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "True/Running") << "the workers try again, not the operator";
  EXPECT_EQ(MessageOf("Ready"), "the target cannot be reached: connecting: Connection refused");
  EXPECT_EQ(o_.backfill.status.rate->limited_by, "TargetUnreachable");

  open.without_target = 1;
  open.frozen_shards = 1;
  open.frozen_for = 2s;
  Step();
  EXPECT_EQ(MessageOf("Ready"),
            "1 of 2 workers cannot reach the target: connecting: Connection refused; "
            "1 shard waits 2 s for requests of lost workers to end");
  EXPECT_NE(o_.backfill.status.rate->limited_by, "TargetUnreachable");

  open.frozen_shards = 0;
  open.target_trouble = std::string(256, 'x');
  Step();
  EXPECT_LE(MessageOf("Ready").size(), 160U);

  o_.backfill.spec.paused = true;
  Step();
  EXPECT_EQ(MessageOf("Ready"), "") << "nobody tries";
}

TEST_F(DecideTest, ATargetThatAsksToBeLeftAloneIsNamed) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4).target_held_for = 41'200ms;
  Step();
  EXPECT_EQ(MessageOf("Ready"), "the target asks to be left alone (Retry-After) for 42 s");
}

TEST_F(DecideTest, AChangedSourceSendsNothingMoreAndNeedsAPerson) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4).source_error = Error{ErrorCode::kConflict, "ids.csv: the file changed"};
  Step();
  EXPECT_TRUE(Configured()->paused);
  EXPECT_THAT(decision_.actions, Contains(VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Stalled"), "True/SourceChanged");
  EXPECT_EQ(MessageOf("Stalled"), "ids.csv: the file changed");
  EXPECT_EQ(PhaseNow(), Phase::kPaused);

  WorkersGone(o_.run);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/SourceChanged");
  EXPECT_THAT(decision_.actions, testing::Not(Contains(VariantWith<CloseStage>(testing::_))))
      << "opened anew it would send again";
}

TEST_F(DecideTest, AChangedSourceStopsADryRun) {
  Planned();
  Opened(o_.dry_run, 4).source_error = Error{ErrorCode::kConflict, "ids.csv: the file changed"};
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/SourceChanged");
}

TEST_F(DecideTest, ASourceThatIsAwayIsTriedAgainAndThenNeedsAPerson) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4).source_error = Error{ErrorCode::kUnavailable, "ids.csv: no route"};
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  EXPECT_FALSE(Configured()->paused) << "workers try again";
  Later(11min);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/SourceUnavailable");
  o_.run.open->source_error.reset();
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
}

}  // namespace
}  // namespace backfill::reconcile
