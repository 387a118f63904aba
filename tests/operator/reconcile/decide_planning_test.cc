// Planning by a worker: what is to be done, and what is shown meanwhile.
#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;
using api::Phase;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DecidePlanningTest : public DecideTest {
 protected:
  DecidePlanningTest() {
    o_.backfill.finalizers = {api::kDrainFinalizer};
    o_.needs_finalizer = true;
    o_.plans_in_worker = true;
  }
  PlanningSnapshot& Reading() {
    o_.planning.open.emplace();
    o_.planning.open->connected = true;
    o_.planning.pool.alive = o_.planning.pool.desired = 1;
    return *o_.planning.open;
  }
  void WorkerHasFailed(int times) {
    o_.planning.pool.failures = static_cast<std::uint64_t>(times);
    o_.planning.pool.last_failure = "plan-0 was killed for its memory";
  }
  void LastTryFailed(ErrorCode code, const std::string& why, bool due = false) {
    o_.last_error = Error{code, why};
    if (code == ErrorCode::kUnavailable) o_.planning_error = o_.last_error;
    o_.retry_later = !due;
  }
  void PlanWritten() {
    o_.backfill.status.plan = api::PlanStatus{kHash, 10, 1000, "2027-01-15T08:00:00Z"};
    o_.dry_run.ledger = o_.run.ledger = LedgerSummary{kHash, TotalsOf(10, 0, 100)};
    o_.planning_error.reset();
  }
};

const Action kOpen = OpenStage{Stage::kPlan};
const Action kStart = ScaleWorkers{Stage::kPlan, 1};
const Action kStop = StopWorkers{Stage::kPlan};
const Action kClose = CloseStage{Stage::kPlan};
const Action kWrite = MakePlan{};

TEST_F(DecidePlanningTest, OneWorkerIsStartedThatReadsTheSource) {
  Step();
  EXPECT_THAT(decision_.actions, ElementsAre(kOpen, kStart));
  EXPECT_EQ(PhaseNow(), Phase::kPlanning);
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Planning");
  EXPECT_EQ(ConditionOf("Reconciling"), "True/Planning");
  EXPECT_EQ(ConditionOf("Planned"), "Unknown/Planning");
  EXPECT_EQ(MessageOf("Planned"), "waits for its worker");
  EXPECT_TRUE(decision_.observe_soon);
}

TEST_F(DecidePlanningTest, HowFarItIsIsSaid) {
  PlanningSnapshot& seen = Reading();
  seen.bytes_read = 1'234'567'890;
  seen.records = 12'000'000;
  Step();
  EXPECT_EQ(MessageOf("Planned"), "read 1.2 GB, 12000000 records");
  EXPECT_THAT(decision_.actions, ElementsAre(kStart)) << "it is kept going";
  seen.bytes_total = 412'000'000'000;
  Step();
  EXPECT_EQ(MessageOf("Planned"), "read 1.2 GB of 412 GB, 12000000 records");
}

TEST_F(DecidePlanningTest, NothingIsStartedBeforeTheFinalizer) {
  o_.backfill.finalizers.clear();
  EXPECT_THAT(Step().actions, ElementsAre(Action(AddFinalizer{})));
}

TEST_F(DecidePlanningTest, WhatWasFoundIsWrittenAndTheWorkerEnds) {
  Reading().ended = true;
  EXPECT_THAT(Step().actions, ElementsAre(kWrite));
  PlanWritten();
  Step();
  EXPECT_THAT(decision_.actions, testing::IsSupersetOf({kClose, kStop}));
  EXPECT_THAT(decision_.actions, testing::Contains(Action(OpenStage{Stage::kDryRun})))
      << "the dry run need not wait for it";
  o_.planning = {};
  EXPECT_THAT(Step().actions, testing::Not(testing::Contains(kStop)));
}

// Edited while it was read: what was found then is not what the spec means now.
TEST_F(DecidePlanningTest, AStalePlanIsNotWritten) {
  PlanningSnapshot& seen = Reading();
  seen.ended = seen.outdated = true;
  EXPECT_THAT(Step().actions, ElementsAre(kClose, kStop));
  o_.planning = {};
  EXPECT_THAT(Step().actions, ElementsAre(kOpen, kStart));
}

TEST_F(DecidePlanningTest, AWorkerThatReadsForAnotherSourceEndsFirst) {
  Reading().outdated = true;
  EXPECT_THAT(Step().actions, ElementsAre(kClose, kStop));
}

TEST_F(DecidePlanningTest, ASourceThatIsNoFileAnyMoreIsPlannedHere) {
  Reading();
  o_.plans_in_worker = false;
  EXPECT_THAT(Step().actions, ElementsAre(kClose, kStop, kWrite));
}

// ---- what fails

TEST_F(DecidePlanningTest, AFileThatCannotBePlannedNeedsAPerson) {
  LastTryFailed(ErrorCode::kInvalid, "planning: reading /data/a.csv: there is no column id");
  o_.planning.pool.alive = o_.planning.pool.desired = 1;
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  EXPECT_EQ(ConditionOf("Planned"), "False/PlanFailed");
  EXPECT_THAT(MessageOf("Stalled"), HasSubstr("no column id"));
  EXPECT_THAT(decision_.actions, ElementsAre(kStop));
  EXPECT_TRUE(decision_.settled) << "or the error would be taken for healed";
  o_.planning = {};
  EXPECT_THAT(Step().actions, IsEmpty());
}

// It would say once more what was wrong with a file that has been mended meanwhile.
TEST_F(DecidePlanningTest, AWorkerThatWasStoppedEndsBeforeANewTryThatAPersonAsksForBegins) {
  o_.planning.pool.alive = 1;
  EXPECT_THAT(Step().actions, ElementsAre(kStop));
  EXPECT_TRUE(decision_.observe_soon);
  o_.planning = {};
  EXPECT_THAT(Step().actions, ElementsAre(kOpen, kStart));
}

TEST_F(DecidePlanningTest, AFileThatIsNotThereIsTriedAgainOnItsSchedule) {
  LastTryFailed(ErrorCode::kUnavailable, "planning: /data/a.csv: no such file");
  o_.planning.pool.alive = o_.planning.pool.desired = 1;
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
  EXPECT_THAT(MessageOf("Ready"), HasSubstr("no such file"));
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  EXPECT_THAT(decision_.actions, ElementsAre(kStop)) << "it would only say so again";
  o_.planning = {};
  EXPECT_THAT(Step().actions, IsEmpty());
  o_.retry_later = false;
  EXPECT_THAT(Step().actions, ElementsAre(kOpen, kStart));
}

// Ready stays False over the tries: the schedule counts from there, and so does a person's
// patience.
TEST_F(DecidePlanningTest, R19_ATryThatIsUnderWayHealsNothing) {
  LastTryFailed(ErrorCode::kUnavailable, "planning: /data/a.csv: no such file");
  Step();
  const std::string since = SinceOf("Ready");
  Later(5min);
  o_.last_error.reset();
  o_.retry_later = false;
  Reading();
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
  EXPECT_EQ(SinceOf("Ready"), since);
  Later(5min);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/SourceUnavailable");
  PlanWritten();
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "True/DryRunning");
  EXPECT_EQ(ConditionOf("Stalled"), "-");
}

TEST_F(DecidePlanningTest, AnApiServerThatFailsIsNotTakenForTheSource) {
  Reading();
  o_.last_error = Error{ErrorCode::kUnavailable, "starting workers: connection refused"};
  o_.retry_later = true;
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
  EXPECT_THAT(decision_.actions, IsEmpty()) << "who reads goes on reading";
}

TEST_F(DecidePlanningTest, F9_WhatIsInTheWayOfItsWorkerIsSaid) {
  for (const char* reason : {"QuotaExceeded", "ImagePullError", "Forbidden"}) {
    o_.planning.pool.trouble = PoolTrouble{reason, "pod reprice-plan-0: no"};
    Step();
    EXPECT_EQ(ConditionOf("Ready"), std::string("False/") + reason);
    EXPECT_EQ(ConditionOf("Planned"), "Unknown/Planning");
  }
  o_.planning.pool.trouble.reset();
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Planning");
}

TEST_F(DecidePlanningTest, AWorkerThatDiesIsReplacedAndThatIsSaid) {
  Reading().connected = false;
  WorkerHasFailed(2);
  Step();
  EXPECT_EQ(
      MessageOf("Planned"),
      "waits for its worker; its worker has failed 2 times: plan-0 was killed for its memory");
  EXPECT_THAT(decision_.actions, ElementsAre(kStart));
}

// It may connect each time, and run out of memory later.
TEST_F(DecidePlanningTest, AWorkerThatDiesAgainAndAgainNeedsAPerson) {
  Reading();
  WorkerHasFailed(5);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/WorkersUnavailable");
  EXPECT_THAT(MessageOf("Stalled"), HasSubstr("5 times: plan-0 was killed for its memory"));
  EXPECT_THAT(decision_.actions, ElementsAre(kClose, kStop));
}

TEST_F(DecidePlanningTest, AWorkerThatCanNeverPlanNeedsAPerson) {
  Reading();
  o_.planning.pool.config_error = true;
  o_.planning.pool.last_failure = "plan-0 exited with 78";
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/WorkerConfigError");
  EXPECT_THAT(decision_.actions, ElementsAre(kClose, kStop));
}

TEST_F(DecidePlanningTest, AFileSystemThatHangsIsSaid) {
  PlanningSnapshot& seen = Reading();
  seen.quiet_for = 9min;
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Planning");
  seen.quiet_for = 10min;
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
  EXPECT_THAT(MessageOf("Ready"), HasSubstr("nothing more for 10 minutes"));
  Later(10min);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/SourceUnavailable");
  seen.quiet_for = 0s;
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "Unknown/Planning");
}

// ---- in the middle

TEST_F(DecidePlanningTest, PlanningGoesOnWhilePausedAsItSendsNothing) {
  Reading();
  PausedBy("a look at it");
  Step();
  EXPECT_EQ(ConditionOf("Paused"), "True/AnnotationPaused");
  EXPECT_EQ(PhaseNow(), Phase::kPlanning);
  EXPECT_THAT(decision_.actions, ElementsAre(kStart));
}

TEST_F(DecidePlanningTest, ADeletionWaitsForTheWorkerButNotForLeases) {
  Reading();
  o_.backfill.deletion_time = FormatWallTime(kNow);
  Step();
  EXPECT_THAT(decision_.actions, ElementsAre(kClose, kStop));
  EXPECT_FALSE(decision_.remove_finalizer);
  o_.planning.open.reset();
  EXPECT_THAT(Step().actions, ElementsAre(kStop));
  o_.deleting_for = kDrainTime;
  Step();
  EXPECT_TRUE(decision_.remove_finalizer);
}

TEST_F(DecidePlanningTest, ADeletionEndsWithTheWorker) {
  o_.backfill.deletion_time = FormatWallTime(kNow);
  Step();
  EXPECT_TRUE(decision_.remove_finalizer);
  EXPECT_EQ(ConditionOf("Succeeded"), "False/Cancelled");
}

TEST_F(DecidePlanningTest, WhatIsNotUnderstoodAnyMoreIsNotRead) {
  Reading();
  o_.invalid = Error{ErrorCode::kInvalid, "spec.source: unknown"};
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  EXPECT_THAT(decision_.actions, ElementsAre(kClose, kStop));
}

// F1: a new leader, which knows nothing but what the status says, and finds the worker at work.
TEST_F(DecidePlanningTest, F10_AWorkerThatReadsIsServedByTheNextOperator) {
  o_.planning.pool.alive = o_.planning.pool.desired = 1;
  Step();
  EXPECT_THAT(decision_.actions, ElementsAre(kOpen, kStart));
  o_.retry_later = true;  // it was being retried under the one before
  Step();
  EXPECT_THAT(decision_.actions, ElementsAre(kOpen));
}

TEST_F(DecidePlanningTest, F25_ARestartKeepsTheSchedule) {
  LastTryFailed(ErrorCode::kUnavailable, "planning: /data/a.csv: no such file");
  Step();
  o_.last_error.reset();  // the process is another one
  Step();
  EXPECT_THAT(decision_.actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
}

}  // namespace
}  // namespace backfill::reconcile
