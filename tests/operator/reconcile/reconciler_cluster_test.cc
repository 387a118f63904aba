// The life of a Backfill on a cluster, from its finalizer to its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "operator/report/run_report.h"
#include "tests/operator/reconcile/reconciler_on_cluster.h"

namespace backfill::reconcile {
namespace {

using api::Phase;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

std::string FileOf(const std::string& name) {
  return R"({"apiVersion": "backfill.dev/v1alpha1", "kind": "Backfill", "metadata": {"name": ")" +
         name + R"("}, "spec": {"source": {"range": {"start": 0, "end": 5000}},
      "target": {"http": {"url": "http://127.0.0.1:1/{{key}}"}},
      "dryRun": false, "performDisruptiveBackfill": ")" +
         name + R"(", "throttle": {"maxRecordsPerSecond": 100}}})";
}

// Of a group that shares 100 records/s.
std::string MemberFileOf(const std::string& name) {
  std::string file = FileOf(name);
  const std::string rate = R"("maxRecordsPerSecond": 100)";
  return file.replace(file.find(rate), rate.size(),
                      rate + R"(, "group": {"name": "orders-db"}, "override": {"type": "Cap",
      "recordsPerSecond": 100, "until": "2099-01-01T00:00:00Z", "reason": "shared"})");
}

class ReconcilerOnClusterTest : public ReconcilerOnCluster {
 protected:
  void Apply(const std::string& name = "reprice") { Create(FileOf(name)); }
  void Delete() { ASSERT_TRUE(memory_.Delete(ref_, "").ok()); }
  void Annotate(const std::string& name, const std::string& value) {
    kube::Object object = *memory_.Get(ref_);
    object.annotations[name] = value;
    ASSERT_TRUE(memory_.Update(object, kube::Durability::kPower).ok());
  }
  void Running() {
    Apply();
    Step(6);
    ASSERT_TRUE(stages_.IsOpen(Stage::kRun));
    ASSERT_EQ(ConditionOf("Ready"), "True/Running");
  }
  bool Exists() { return memory_.Get(ref_).ok(); }
  std::string Report() {
    const auto object = memory_.Get({"ConfigMap", "shop", "reprice-report"});
    return object.ok() ? object->content : "";
  }
};

TEST_F(ReconcilerOnClusterTest, R24_NothingIsWrittenBeforeTheFinalizer) {
  Apply();
  store_.ForgetWrites();
  Step();
  EXPECT_THAT(memory_.Get(ref_)->finalizers, ElementsAre(api::kDrainFinalizer));
  EXPECT_EQ(store_.Writes(), 0) << "the version that was read is an old one";
  EXPECT_TRUE(stages_.ledgers().empty());
  Step();
  EXPECT_FALSE(stages_.ledgers().empty());
}

TEST_F(ReconcilerOnClusterTest, ADeletedRunIsCancelledAndGone) {
  Running();
  stages_.Progress({"shop", "reprice", Stored().uid, Stage::kRun}, 0);
  Delete();
  ASSERT_TRUE(Exists());
  Step(5);
  EXPECT_FALSE(Exists());
  EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
  EXPECT_EQ(pool_.alive(Stage::kRun), 0);
  EXPECT_THAT(Report(), testing::HasSubstr("Cancelled"));
  EXPECT_THAT(events_.reasons, Contains("Failed"));
  EXPECT_EQ(reconciler_->Reconcile(ref_, {}).error().code, ErrorCode::kNotFound);
}

TEST_F(ReconcilerOnClusterTest, WhatIsCreatedAgainUnderTheNameDoesNotRunAgain) {
  Running();
  Delete();
  Step(5);
  ASSERT_FALSE(Exists());
  Apply();
  Step(5);
  EXPECT_EQ(ConditionOf("Stalled"), "True/AlreadyRan");
  EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
}

TEST_F(ReconcilerOnClusterTest, AnOperatorThatDiesAtAnyStepOfADeletionFinishesIt) {
  for (int steps = 0; steps < 5; ++steps) {
    SCOPED_TRACE(steps);
    (void)memory_.Delete({"ConfigMap", "shop", "reprice-report"}, "");
    CrashOperator();
    Running();
    Delete();
    Step(steps);
    CrashOperator();
    Step(8);
    EXPECT_FALSE(Exists());
    EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
    EXPECT_THAT(Report(), testing::HasSubstr("Cancelled"));
  }
}

TEST_F(ReconcilerOnClusterTest, WhatASomebodyTookTheFinalizerOffIsEndedAllTheSame) {
  Running();
  ASSERT_TRUE(memory_.SetFinalizers(ref_, {}).ok());
  Delete();
  ASSERT_FALSE(Exists());
  Step();
  EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
  EXPECT_EQ(pool_.alive(Stage::kRun), 0);
}

TEST_F(ReconcilerOnClusterTest, AStatusThatIsRefusedForGoodDoesNotKeepADeletedObject) {
  Running();
  Delete();
  store_.FailNext(1'000, Error{ErrorCode::kInvalid, "status: no such field"}, "Backfill");
  Step(5);
  EXPECT_FALSE(Exists());
}

TEST_F(ReconcilerOnClusterTest, AStoreThatIsAwayKeepsADeletedObject) {
  Running();
  Delete();
  store_.FailNext(1'000, Error{ErrorCode::kUnavailable, "no route"});
  Step(10);
  EXPECT_TRUE(Exists());
  store_.FailNext(0, Error{ErrorCode::kUnavailable, ""});
  Step(6);
  EXPECT_FALSE(Exists());
}

TEST_F(ReconcilerOnClusterTest, AFinalizerThatCannotBeTakenOffIsTriedAgain) {
  Running();
  Delete();
  Step(2);
  finalizers_.FailNext(Error{ErrorCode::kConflict, "it has changed"});
  Step(3);
  finalizers_.FailNext(Error{ErrorCode::kUnavailable, "no answer"});
  Step(3);
  EXPECT_FALSE(Exists());
}

TEST_F(ReconcilerOnClusterTest, AnObjectThatCannotBeReadIsShownAndCanBeDeleted) {
  Apply();
  kube::Object object = *memory_.Get(ref_);
  object.content.replace(object.content.find("{{key}}"), 7, "{{kye}}");
  ASSERT_TRUE(memory_.Update(object, kube::Durability::kPower).ok());
  Step(2);
  EXPECT_EQ(ConditionOf("Stalled"), "True/InvalidSpec");
  EXPECT_TRUE(stages_.ledgers().empty());
  ASSERT_TRUE(memory_.SetFinalizers(ref_, {api::kDrainFinalizer}).ok());
  Delete();
  Step(3);
  EXPECT_FALSE(Exists());
}

TEST_F(ReconcilerOnClusterTest, EventsFollowTheStatusThatIsStored) {
  Apply();
  store_.FailNext(1, Error{ErrorCode::kUnavailable, "no answer"}, "Backfill");
  Step(2);
  EXPECT_THAT(events_.reasons, IsEmpty()) << "the plan is not in the status yet";
  Step(4);
  EXPECT_THAT(events_.reasons, ElementsAre("PlanComputed", "RunStarted"));
}

// R19: 10 s after it began, then after twice the time each; 0 to 20 % later.
TEST_F(ReconcilerOnClusterTest, R19_WhatFailsIsTriedOnItsSchedule) {
  Apply();
  Step();
  store_.FailNext(1'000'000, Error{ErrorCode::kPermission, "configmaps is forbidden"}, "ConfigMap");
  Step();  // planned
  const Time began = clock_.Steady();
  std::vector<long> tries;
  store_.ForgetWrites();
  for (int i = 0, seen = 0; i < 400; ++i) {
    Step();
    clock_.Advance(800ms);
    if (store_.Refused("ConfigMap") == seen) continue;
    seen = store_.Refused("ConfigMap");
    tries.push_back(
        std::chrono::duration_cast<std::chrono::seconds>(clock_.Steady() - began).count());
  }
  ASSERT_GE(tries.size(), 4U);
  ASSERT_LE(tries.size(), 7U);
  EXPECT_EQ(ConditionOf("Ready"), "False/Forbidden");
  for (std::size_t i = 1, due = 10; i < tries.size(); ++i, due *= 2) {
    EXPECT_GE(tries[i], static_cast<long>(due)) << i;
    EXPECT_LE(tries[i], static_cast<long>(due + due / 5 + 4)) << i;
  }
  EXPECT_THAT(events_.reasons, ElementsAre("PlanComputed", "Forbidden")) << "told once";
  store_.FailNext(0, Error{ErrorCode::kPermission, ""});
  Annotate(api::kReconcileAtAnnotation, "now");
  Step(4);
  EXPECT_EQ(ConditionOf("Ready"), "True/Running") << "asked for, it is tried at once";
}

// F25
TEST_F(ReconcilerOnClusterTest, F25_RestartWithManyFailing) {
  constexpr int kMany = 40;  // for 500
  const Error refused{ErrorCode::kPermission, "configmaps is forbidden"};
  store_.FailNext(1'000'000, refused, "ConfigMap");
  std::map<std::string, Time> due;
  const auto step_all = [&] {  // those that have asked for it
    for (auto& [name, at] : due) {
      if (at > clock_.Steady()) continue;
      const auto outcome = reconciler_->Reconcile({"Backfill", "shop", name}, {});
      ASSERT_TRUE(outcome.ok()) << outcome.error().message;
      at = outcome->requeue_after > 0s ? clock_.Steady() + outcome->requeue_after : Time::max();
    }
  };
  for (int i = 0; i < kMany; ++i) {
    Apply("b" + std::to_string(i));
    due["b" + std::to_string(i)] = {};
  }
  for (int i = 0; i < 5; ++i, clock_.Advance(1s)) step_all();
  EXPECT_EQ(ConditionOf("Ready", "b7"), "False/Forbidden");
  clock_.Advance(5min);
  std::map<std::string, api::Status> before;
  for (int i = 0; i < kMany; ++i) {
    const std::string name = "b" + std::to_string(i);
    before[name] = Stored(name).status;
  }
  CrashOperator();
  store_.ForgetWrites();
  for (auto& [name, at] : due) at = {};  // whoever starts looks at all
  step_all();
  EXPECT_EQ(store_.Writes() + store_.Refused(), 0) << "nobody is tried, and no status is touched";
  int most = 0;
  for (int second = 0; second < 400; ++second) {
    clock_.Advance(1s);
    const int tried = store_.Refused("ConfigMap");
    step_all();
    most = std::max(most, store_.Refused("ConfigMap") - tried);
  }
  EXPECT_GE(store_.Refused("ConfigMap"), kMany) << "each has been tried again";
  EXPECT_LE(most, kMany / 4) << "spread over time";
  for (const auto& [name, status] : before) {
    const auto since = [](const api::Status& s) {
      return api::FindCondition(s, "Ready")->last_transition_time;
    };
    EXPECT_EQ(since(Stored(name).status), since(status)) << name;
  }
}

TEST_F(ReconcilerOnClusterTest, WhatIsHandedOverIsTakenUpWithItsWorkers) {
  Running();
  stages_.Progress({"shop", "reprice", Stored().uid, Stage::kRun}, 1);
  ASSERT_TRUE(reconciler_->HandOver().ok());
  EXPECT_FALSE(stages_.IsOpen(Stage::kRun));
  EXPECT_EQ(pool_.alive(Stage::kRun), 2) << "they find whoever leads next";
  const api::Status before = Stored().status;
  StartOperator();
  events_.reasons.clear();
  Step();
  EXPECT_TRUE(stages_.IsOpen(Stage::kRun));
  EXPECT_THAT(events_.reasons, ElementsAre("LeaderRecovered"));
  Step(3);
  for (const api::Condition& c : before.conditions) {
    const api::Status after = Stored().status;
    EXPECT_EQ(*api::FindCondition(after, c.type), c) << "a new leader touches no condition";
  }
}

TEST_F(ReconcilerOnClusterTest, APausedRunIsTakenUpWithItsWorkers) {
  Running();
  Annotate(api::kPausedAnnotation, "incident");
  Step();
  CrashOperator();
  Step(3);
  EXPECT_EQ(pool_.alive(Stage::kRun), 2);
  EXPECT_TRUE(stages_.SettingsOf(Stage::kRun)->paused);
}

TEST_F(ReconcilerOnClusterTest, AReportThatMayNotBeReadIsShownAndNothingIsDone) {
  Apply();
  ASSERT_TRUE(memory_.SetFinalizers(ref_, {api::kDrainFinalizer}).ok());
  store_.FailNextReads(1'000, Error{ErrorCode::kPermission, "configmaps is forbidden"},
                       "ConfigMap");
  Step(3);
  EXPECT_EQ(ConditionOf("Ready"), "False/Forbidden");
  EXPECT_TRUE(stages_.ledgers().empty());
  Delete();
  Step(3);
  EXPECT_TRUE(Exists()) << "whether a run has begun is not known";
  clock_.Advance(120s);
  Step(3);
  EXPECT_FALSE(Exists()) << "but it does not stay for ever";
}

TEST_F(ReconcilerOnClusterTest, TheReportIsLookedAtOnceAMinuteOnly) {
  Running();
  Step();
  store_.FailNextReads(1'000'000, Error{ErrorCode::kPermission, "configmaps is forbidden"},
                       "ConfigMap");
  Step(50);
  EXPECT_EQ(ConditionOf("Ready"), "True/Running") << "nobody has asked";
  clock_.Advance(60s);
  Step();
  EXPECT_EQ(ConditionOf("Ready"), "False/Forbidden");
  EXPECT_TRUE(stages_.IsOpen(Stage::kRun)) << "and goes on";
}

// F16
TEST_F(ReconcilerOnClusterTest, F16_EditStormEndsWithTheLastEdit) {
  Running();
  for (int i = 0; i < 100; ++i) {
    Annotate(api::kPausedAnnotation, "edit " + std::to_string(i));
    if (i % 10 == 0) Step();
  }
  Step(2);
  EXPECT_TRUE(stages_.SettingsOf(Stage::kRun)->paused);
  const api::Status status = Stored().status;
  EXPECT_EQ(api::FindCondition(status, "Paused")->message, "edit 99");
}

TEST_F(ReconcilerOnClusterTest, ARateThatHardlyMovesIsNoWrite) {
  Running();
  stages_.Rate(1000);
  Step(60);
  store_.ForgetWrites();
  for (const double rate : {1005.0, 995.0, 1009.0, 992.0}) {
    stages_.Rate(rate);
    Step(30);
  }
  EXPECT_EQ(store_.Writes("Backfill"), 0);
  stages_.Rate(1100);
  Step(30);
  EXPECT_EQ(store_.Writes("Backfill"), 1);
}

TEST_F(ReconcilerOnClusterTest, R19_AClockThatIsSetBackHoldsNoRetryUp) {
  Apply();
  stages_.FailNextOpen(Error{ErrorCode::kUnavailable, "away"});
  Step(6);
  ASSERT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
  clock_.StepWall(-24h);
  clock_.Advance(15s);
  Step(3);
  EXPECT_TRUE(stages_.IsOpen(Stage::kRun));
  EXPECT_EQ(ConditionOf("Ready"), "True/Running");
}

TEST_F(ReconcilerOnClusterTest, WhatFailedUnderAnEarlierLeaderAndWentOnStopsNothing) {
  Running();
  for (int i = 0; i < 10; ++i) {  // over the days; each time workers connect again
    pool_.LoseAll(Stage::kRun);
    stages_.NewSession();
    Step();
  }
  ASSERT_EQ(ConditionOf("Stalled"), "-");
  CrashOperator();
  Step(3);
  EXPECT_TRUE(stages_.IsOpen(Stage::kRun));
  EXPECT_GT(pool_.alive(Stage::kRun), 0);
  EXPECT_EQ(ConditionOf("Stalled"), "-");
}

TEST_F(ReconcilerOnClusterTest, TheLedgerOfWhatHasEndedIsNotReadByANewLeader) {
  Running();
  stages_.Finish(Stage::kRun);
  Step(10);
  ASSERT_EQ(ConditionOf("Succeeded"), "True/Completed");
  CrashOperator();
  const int before = stages_.times_read();
  Step(3);
  EXPECT_EQ(stages_.times_read(), before);
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
  ASSERT_TRUE(Stored().status.progress);
  EXPECT_EQ(Stored().status.progress->updated, 5000U);
}

TEST_F(ReconcilerOnClusterTest, WhatCannotBeLookedAtForAMomentIsAsItWas) {
  Running();
  const StageKey run{"shop", "reprice", Stored().uid, Stage::kRun};
  stages_.Progress(run, stages_.ledgers().at(run).totals.shards / 2);
  Step(40);
  const std::uint64_t updated = Stored().status.progress->updated;
  ASSERT_GT(updated, 0U);
  stages_.Finish(Stage::kRun);
  stages_.Hang(true);
  Step(40);
  EXPECT_EQ(Stored().status.progress->updated, updated);
  EXPECT_EQ(ConditionOf("Ready"), "False/StoreUnavailable");
  EXPECT_TRUE(stages_.IsOpen(Stage::kRun)) << "whether it has ended is not known";
  stages_.Hang(false);
  Step(10);
  EXPECT_EQ(ConditionOf("Succeeded"), "True/Completed");
}

// ---- spec.throttle.group

class GroupOnClusterTest : public ReconcilerOnCluster {
 protected:
  void StepBoth(int n) {
    for (int i = 0; i < n; ++i) {
      for (const char* name : {"reprice", "retag"}) {
        (void)reconciler_->Reconcile({"Backfill", "shop", name}, {});
        most_ = std::max(most_, AllowedOf("reprice") + AllowedOf("retag"));
      }
      clock_.Advance(5s);
    }
  }
  // What its stage may grant its workers.
  double AllowedOf(const std::string& name) {
    const auto open = stages_.Snapshot({"shop", name, Stored(name).uid, Stage::kRun});
    return open ? open->allowed : 0;
  }
  double most_ = 0;
};

TEST_F(GroupOnClusterTest, TwoBackfillsShareOneRateAndAfterARestartNoMore) {
  clock_.Advance(1h);
  Create(MemberFileOf("reprice"));
  Create(MemberFileOf("retag"));
  StepBoth(18);  // grants of an operator before may be in force for 50 s
  EXPECT_NEAR(AllowedOf("reprice"), 50, 0.1);
  EXPECT_NEAR(AllowedOf("retag"), 50, 0.1);
  EXPECT_EQ(Stored("retag").status.throttle->reason,
            "Cap 100/s until 2099-01-01T00:00:00Z: shared; group orders-db, shared with 1 other; "
            "reprice: Cap 100/s until 2099-01-01T00:00:00Z: shared");
  EXPECT_LE(most_, 100);

  CrashOperator();
  most_ = 0;
  StepBoth(8);
  EXPECT_EQ(most_, 0) << "no worker has said that it still has something";
  StepBoth(10);
  EXPECT_NEAR(AllowedOf("reprice") + AllowedOf("retag"), 100, 0.2);
  EXPECT_LE(most_, 100);
}

TEST_F(GroupOnClusterTest, WhatOneLeavesTheOtherGets) {
  Create(MemberFileOf("reprice"));
  Create(MemberFileOf("retag"));
  StepBoth(18);
  stages_.Finish(Stage::kRun);
  stages_.Progress({"shop", "reprice", Stored().uid, Stage::kRun}, 0);
  StepBoth(18);
  EXPECT_EQ(Stored("retag").status.phase, Phase::kCompleted);
  EXPECT_NEAR(AllowedOf("reprice"), 100, 0.1);
  EXPECT_LE(most_, 100);
}

}  // namespace
}  // namespace backfill::reconcile
