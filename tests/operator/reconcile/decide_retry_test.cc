// Errors that are tried again: what is shown of them, and when they are (R19).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::VariantWith;
using namespace std::chrono_literals;

class DecideRetryTest : public DecideTest {
 protected:
  void Failed(ErrorCode code, const std::string& message) {
    o_.last_error = Error{code, message};
    o_.retry_later = true;
  }
  void PoolHas(const std::string& reason) {
    o_.run.pool.trouble = PoolTrouble{reason, "pods \"reprice-run-0\": refused"};
  }
};

TEST_F(DecideRetryTest, R19_WhatFailedIsNotTriedBeforeItIsDue) {
  Step();
  Failed(ErrorCode::kUnavailable, "planning: no route");
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
  EXPECT_EQ(ConditionOf("Reconciling"), "-");
  EXPECT_FALSE(decision_.settled);
  o_.retry_later = false;
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<MakePlan>(MakePlan{})));
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable") << "until it has succeeded";
}

TEST_F(DecideRetryTest, R19_PausingAndEndingDoNotWaitForARetry) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  Failed(ErrorCode::kUnavailable, "starting workers: no answer");
  PausedBy("incident");
  Step();
  ASSERT_NE(Configured(), nullptr);
  EXPECT_TRUE(Configured()->paused);
  EXPECT_THAT(decision_.actions, Not(Contains(VariantWith<ScaleWorkers>(testing::_))));
}

TEST_F(DecideRetryTest, F25_ANewLeaderLeavesWhatFailedBeforeAsItIsUntilItIsDue) {
  Step();
  Failed(ErrorCode::kUnavailable, "planning: no route");
  Step();
  const api::Status before = o_.backfill.status;
  o_.last_error.reset();  // it is another process
  Later(1min);
  EXPECT_THAT(Step().actions, IsEmpty());
  EXPECT_EQ(decision_.status.conditions.size(), before.conditions.size());
  for (const api::Condition& c : before.conditions) {
    EXPECT_EQ(MessageOf(c.type), c.message) << c.type;
    EXPECT_EQ(SinceOf(c.type), c.last_transition_time) << c.type;
  }
  EXPECT_EQ(ConditionOf("Ready"), "False/SourceUnavailable");
}

TEST_F(DecideRetryTest, ANewLeaderServesWorkersThatAreThereAtOnce) {
  RealRun();
  Planned();
  ReportBegun();
  o_.run.pool.alive = o_.run.pool.desired = 2;
  o_.retry_later = true;
  EXPECT_THAT(Step().actions, Contains(VariantWith<OpenStage>(OpenStage{Stage::kRun})));
}

// F9
TEST_F(DecideRetryTest, F9_WorkersThatAreRefusedAreShownWithTheReasonAndHeal) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 0);
  for (const char* reason : {"QuotaExceeded", "ImagePullError", "Forbidden"}) {
    PoolHas(reason);
    Step();
    EXPECT_EQ(ConditionOf("Ready"), std::string("False/") + reason);
    EXPECT_EQ(MessageOf("Ready"), "pods \"reprice-run-0\": refused");
    EXPECT_EQ(ConditionOf("Stalled"), "-");
    EXPECT_THAT(decision_.actions, Contains(VariantWith<ScaleWorkers>(testing::_)))
        << "the pool knows when";
  }
  Later(11min);
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/Forbidden");
  o_.run.pool.trouble.reset();
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "-");
  EXPECT_EQ(ConditionOf("Ready"), "True/Running");
}

TEST_F(DecideRetryTest, ANameThatSomebodyElseHasNeedsAPersonAtOnce) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 0);
  PoolHas("NameConflict");
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/NameConflict");
}

TEST_F(DecideRetryTest, WorkersThatAreReplacedAreShown) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  o_.run.pool.replacing = true;
  Step();
  EXPECT_EQ(ConditionOf("Reconciling"), "True/ReplacingWorkers");
  EXPECT_EQ(ConditionOf("Ready"), "True/Running");
}

TEST_F(DecideRetryTest, ALongPauseLetsWorkersGoAndResumingHasThemBackAtOnce) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  o_.idle_timeout = 15min;
  PausedBy("incident");
  Step();
  Later(15min - 1s);
  EXPECT_THAT(Step().actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 2})));
  Later(1s);
  EXPECT_THAT(Step().actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 0})));
  EXPECT_EQ(ConditionOf("Ready"), "True/Paused");
  o_.backfill.annotations.clear();
  EXPECT_THAT(Step().actions, Contains(VariantWith<ScaleWorkers>(ScaleWorkers{Stage::kRun, 2})));
}

TEST_F(DecideRetryTest, ASuspendedJobThatIsLeftGoesAtTheEnd) {
  RealRun();
  Planned();
  o_.run.ledger->totals = TotalsOf(10, 10, 100);
  o_.report = ReportState::kCompleted;
  o_.run.pool.remains = true;
  EXPECT_THAT(Step().actions, ElementsAre(VariantWith<StopWorkers>(StopWorkers{Stage::kRun})));
  EXPECT_EQ(ConditionOf("Succeeded"), "Unknown/Running");
  o_.run.pool.remains = false;
  Step();
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
}

struct Refusal {
  ErrorCode code;
  const char* message;
  const char* ready;
  const char* stalled;
};
class RefusalTest : public DecideRetryTest, public testing::WithParamInterface<Refusal> {};
TEST_P(RefusalTest, SaysWhoRefused) {
  RealRun();
  Planned();
  Failed(GetParam().code, GetParam().message);
  Step();
  EXPECT_EQ(ConditionOf("Ready"), GetParam().ready);
  EXPECT_EQ(ConditionOf("Stalled"), GetParam().stalled);
}
INSTANTIATE_TEST_SUITE_P(
    R30_R29, RefusalTest,
    testing::Values(
        Refusal{ErrorCode::kPermission, "writing the report: configmaps is forbidden",
                "False/Forbidden", "-"},
        Refusal{ErrorCode::kPermission, "writing the report: exceeded quota: count, used: 5",
                "False/QuotaExceeded", "-"},
        Refusal{ErrorCode::kInvalid, "etcdserver: request is too large", "False/TooLarge",
                "True/TooLarge"},
        Refusal{ErrorCode::kUnavailable, "connection refused", "False/StoreUnavailable", "-"}));

// F7
TEST_F(DecideRetryTest, F7_APlanThatIsTooLargeToStoreNeedsAPersonAndCanBeDeleted) {
  o_.needs_finalizer = true;
  o_.backfill.finalizers = {api::kDrainFinalizer};
  Failed(ErrorCode::kInvalid, "writing the ledger: etcdserver: request is too large");
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/TooLarge");
  EXPECT_EQ(ConditionOf("Planned"), "False/PlanFailed");
  o_.backfill.deletion_time = FormatWallTime(now_);
  EXPECT_TRUE(Step().remove_finalizer);
}

TEST_F(DecideRetryTest, ASpecThatCannotBeUnderstoodStopsWhatRunsAndNeedsAPerson) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  Step();
  o_.backfill.generation = 2;
  o_.backfill.spec = {};
  o_.invalid = Error{ErrorCode::kInvalid, "spec.target.http.url: {{kye}} is no field"};
  Step();
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  EXPECT_TRUE(Configured()->paused);
  EXPECT_EQ(o_.backfill.status.observed_generation, 2);
  for (const api::Condition& c : o_.backfill.status.conditions)
    EXPECT_EQ(c.observed_generation, 2) << c.type;
}

}  // namespace
}  // namespace backfill::reconcile
