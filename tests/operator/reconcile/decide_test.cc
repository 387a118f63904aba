#include "operator/reconcile/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace backfill::reconcile {
namespace {

using api::ConditionStatus;
using api::Phase;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::VariantWith;
using namespace std::chrono_literals;

constexpr char kHash[] = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const WallTime kNow{std::chrono::seconds(1'800'000'000)};

ledger::Totals TotalsOf(std::int64_t shards, std::int64_t done, std::uint64_t per_shard,
                        std::uint64_t failed = 0) {
  ledger::Totals t;
  t.shards = shards;
  t.shards_done = done;
  t.shards_pending = shards - done;
  t.planned = static_cast<std::uint64_t>(shards) * per_shard;
  t.counts.failed = failed;
  t.counts.updated = static_cast<std::uint64_t>(done) * per_shard - failed;
  return t;
}

// Carries a Backfill through its life: verbs change what is observed, Step() decides and keeps the
// status, as the reconciler does.
class DecideTest : public testing::Test {
 protected:
  DecideTest() {
    o_.backfill.name = "reprice";
    o_.backfill.ns = "default";
    o_.backfill.uid = "uid-1";
    o_.backfill.generation = 1;
    o_.backfill.spec.source = api::RangeSource{0, 1000};
    o_.backfill.spec.failure_policy.max_failed_percent = "100";
  }

  void RealRun() {
    o_.backfill.spec.dry_run = false;
    o_.backfill.spec.perform_disruptive_backfill = "reprice";
    o_.backfill.spec.throttle.max_records_per_second = 500;
  }
  void Planned() {
    o_.backfill.status.plan = api::PlanStatus{kHash, 10, 1000, "2027-01-15T08:00:00Z"};
    o_.run.ledger = LedgerSummary{kHash, TotalsOf(10, 0, 100)};
    o_.dry_run.ledger = o_.run.ledger;
  }
  void ReportBegun() { o_.report = ReportState::kStarted; }
  StageSnapshot& Opened(ObservedStage& stage, std::int64_t done = 0) {
    stage.open.emplace();
    stage.open->totals = TotalsOf(10, done, 100);
    stage.open->flushed = true;
    stage.open->connected = 2;
    stage.ledger = LedgerSummary{kHash, stage.open->totals};
    stage.pool.alive = stage.pool.desired = 2;
    stage.opened_batch_size = 1;
    return *stage.open;
  }
  void WorkersGone(ObservedStage& stage) { stage.pool.alive = stage.pool.desired = 0; }
  void PausedBy(const std::string& reason) {
    o_.backfill.annotations[api::kPausedAnnotation] = reason;
  }

  const Decision& Step() {
    decision_ = Decide(o_, now_);
    o_.backfill.status = decision_.status;
    return decision_;
  }

  std::string ConditionOf(const std::string& type) const {
    for (const api::Condition& c : o_.backfill.status.conditions) {
      if (c.type != type) continue;
      const std::string value = c.status == ConditionStatus::kTrue    ? "True"
                                : c.status == ConditionStatus::kFalse ? "False"
                                                                      : "Unknown";
      return value + "/" + c.reason;
    }
    return "-";
  }
  std::string MessageOf(const std::string& type) const {
    for (const api::Condition& c : o_.backfill.status.conditions)
      if (c.type == type) return c.message;
    return "-";
  }
  Phase PhaseNow() const { return o_.backfill.status.phase.value_or(Phase::kPending); }

  const LiveSettings* Configured() const {
    for (const Action& a : decision_.actions)
      if (const auto* c = std::get_if<ConfigureStage>(&a)) return &c->settings;
    return nullptr;
  }

  std::string SinceOf(const std::string& type) const {
    for (const api::Condition& c : o_.backfill.status.conditions)
      if (c.type == type) return c.last_transition_time;
    return "-";
  }
  void Later(Duration d) { now_ += std::chrono::duration_cast<WallTime::duration>(d); }

  Observed o_;
  Decision decision_;
  WallTime now_ = kNow;
};

TEST_F(DecideTest, PlansFirst) {
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<MakePlan>(MakePlan{})));
  EXPECT_EQ(PhaseNow(), Phase::kPlanning);
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Planning");
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Planning");
  EXPECT_EQ(ConditionOf("Planned"), "Unknown/Planning");
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/DryRun");
  EXPECT_FALSE(decision_.settled);
}

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
  Step();
  EXPECT_EQ(*Configured(), (LiveSettings{.paused = false,
                                         .records_per_second = 7,
                                         .unlimited = false,
                                         .concurrency = 3,
                                         .attempts = 2}));
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
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/Running");
  EXPECT_THAT(MessageOf("Stalled"), HasSubstr("over maxFailedRecords 10"));

  o_.backfill.spec.failure_policy.max_failed_records = 20;  // a person has looked
  Step();
  EXPECT_FALSE(Configured()->paused);
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  EXPECT_EQ(PhaseNow(), Phase::kRunning);
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
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Retrying");
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
