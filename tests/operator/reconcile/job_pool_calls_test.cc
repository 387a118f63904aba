// What a pool of Jobs asks of the API server, and what it makes of the answers.
#include "operator/reconcile/job_pool.h"

#include <atomic>
#include <thread>

#include "tests/operator/reconcile/job_pool_fixture.h"

namespace backfill::reconcile {
namespace {

using fakes::Fault;
using testing::HasSubstr;
using testing::SizeIs;

class JobPoolCallsTest : public JobPoolFixture {};

TEST_F(JobPoolCallsTest, R13_NothingIsDoneBeforeTheCachesHaveSynced) {
  kube::ObjectCache jobs({kube::ByController()}), pods({kube::ByBackfillOfPod()});
  JobPool pool(api_, jobs, pods, clock_, options_);
  const Status scaled = pool.Scale(backfill_, Stage::kRun, 2);
  ASSERT_FALSE(scaled.ok());
  EXPECT_EQ(scaled.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Writes(), 0);
}

TEST_F(JobPoolCallsTest, R21_WhatWasWrittenIsBelievedBeforeTheCacheHasIt) {
  ASSERT_TRUE(Scale(2).ok());
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(Writes(), 1);
  ASSERT_TRUE(Scale(4).ok());
  ASSERT_TRUE(Scale(4).ok());
  EXPECT_EQ(Writes(), 2);
  ASSERT_TRUE(Stop().ok());
  ASSERT_TRUE(Stop().ok());
  EXPECT_EQ(Writes(), 3);
}

TEST_F(JobPoolCallsTest, R22_TheFirstCreationFollowsALiveRead) {
  server_.ForgetCalls();
  ASSERT_TRUE(Scale(2).ok());
  const auto calls = server_.Calls({.plural = "jobs"});
  ASSERT_GE(calls.size(), 2U);
  EXPECT_EQ(calls[0].verb, "get");
  EXPECT_EQ(calls[1].verb, "create");
}

TEST_F(JobPoolCallsTest, F3_ARestartOnAStaleCacheMakesNoSecondJob) {
  jobs_->Replace({}, "1");
  ASSERT_TRUE(Scale(2).ok());
  const std::string uid = Job()["metadata"]["uid"];
  // Another process, whose cache is from before.
  kube::ObjectCache jobs({kube::ByController()}), pods({kube::ByBackfillOfPod()});
  jobs.Replace({}, "1");
  pods.Replace({}, "1");
  JobPool second(api_, jobs, pods, clock_, options_);
  ASSERT_TRUE(second.Scale(backfill_, Stage::kRun, 2).ok());
  EXPECT_EQ(Calls("create"), 1);
  EXPECT_GT(second.Observe(backfill_, Stage::kRun).alive, 0);
  ASSERT_TRUE(second.Stop(KeyOf(backfill_, Stage::kRun)).ok());
  EXPECT_EQ(Calls("delete"), 1);
}

TEST_F(JobPoolCallsTest, F3_AStoppedPoolAsksBeforeItBelievesThatThereIsNothing) {
  ASSERT_TRUE(Scale(2).ok());
  kube::ObjectCache jobs({kube::ByController()}), pods({kube::ByBackfillOfPod()});
  jobs.Replace({}, "1");
  pods.Replace({}, "1");
  JobPool second(api_, jobs, pods, clock_, options_);
  ASSERT_TRUE(second.Stop(KeyOf(backfill_, Stage::kRun)).ok());
  EXPECT_EQ(Calls("delete"), 1);
  EXPECT_GT(second.Observe(backfill_, Stage::kRun).alive, 0);
}

TEST_F(JobPoolCallsTest, R23_ACreationWhoseAnswerIsLostIsDoneOnce) {
  server_.FailNext(1, Fault::AnswerLost(), {.verb = "create", .plural = "jobs"});
  EXPECT_FALSE(Scale(2).ok());
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(Settle(2).alive, 2);
  EXPECT_EQ(Calls("create"), 1) << "it was read live, and is there";
}

TEST_F(JobPoolCallsTest, R23_ARequestThatArrivesTwiceIsSuccess) {
  server_.FailNext(1, Fault::ArrivesTwice(), {.verb = "create", .plural = "jobs"});
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(Settle(2).alive, 2);
}

TEST_F(JobPoolCallsTest, F15_AForeignJobIsLeftAlone) {
  MakeForeignJob("[]");
  ASSERT_TRUE(Scale(2).ok());
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "NameConflict");
  ASSERT_TRUE(Stop().ok());
  EXPECT_EQ(Calls("delete") + Calls("patch"), 0);
  EXPECT_EQ(Observe().alive, 0) << "it is none of ours";
  DeleteJob();
  server_.CollectGarbage();
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(Calls("create"), 0) << "not before its time";
  clock_.Advance(13s);
  EXPECT_EQ(Settle(2).alive, 2);
  EXPECT_FALSE(Observe().trouble.has_value());
}

TEST_F(JobPoolCallsTest, R23_TheJobOfAnEarlierBackfillOfThatNameIsAwaited) {
  MakeForeignJob(
      R"([{"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill","name":"reprice","uid":"old","controller":true}])");
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_FALSE(Observe().trouble.has_value());
  EXPECT_EQ(Calls("delete"), 0) << "the collector does that";
  EXPECT_EQ(Settle(2).alive, 2);
}

TEST_F(JobPoolCallsTest, R25_AConflictIsReadAndDecidedAgain) {
  Settle(2);
  server_.Do(kube::HttpMethod::kPatch, "/apis/batch/v1/namespaces/shop/jobs/reprice-run",
             R"({"metadata":{"labels":{"x":"y"}}})", "application/merge-patch+json");
  ASSERT_TRUE(Scale(3).ok());  // the cache does not have that version
  EXPECT_EQ(Job()["spec"]["parallelism"], 3);
  EXPECT_EQ(Job()["metadata"]["labels"]["x"], "y");
  EXPECT_EQ(Calls("patch"), 2);
}

TEST_F(JobPoolCallsTest, R25_ConflictsWithoutEndAreGivenUp) {
  Settle(2);
  server_.FailAlways(Fault::Status(409, "Conflict"), {.verb = "patch", .plural = "jobs"});
  const Status scaled = Scale(3);
  ASSERT_FALSE(scaled.ok());
  EXPECT_EQ(scaled.error().code, ErrorCode::kConflict);
  EXPECT_EQ(Calls("patch"), 5);
}

TEST_F(JobPoolCallsTest, F9_AQuotaIsAskedOnceThenOnR19sSchedule) {
  server_.SetQuota("jobs", "shop", 0);
  ASSERT_TRUE(Scale(1200).ok());
  EXPECT_EQ(Calls("create"), 1) << "R30: not for each of the three Jobs";
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "QuotaExceeded");
  EXPECT_EQ(Observe().desired, 1200);
  for (int i = 0; i < 9; ++i) {
    clock_.Advance(1s);
    ASSERT_TRUE(Scale(1200).ok());
  }
  EXPECT_EQ(Calls("create"), 1);
  clock_.Advance(4s);
  ASSERT_TRUE(Scale(1200).ok());
  EXPECT_EQ(Calls("create"), 2);
  server_.LiftQuotas();
  clock_.Advance(30s);
  ASSERT_TRUE(Scale(1200).ok());
  EXPECT_FALSE(Observe().trouble.has_value());
  EXPECT_EQ(Job("reprice-run-2")["spec"]["parallelism"], 200);
}

TEST_F(JobPoolCallsTest, R30_WhatARoleForbidsIsSaidWithVerbAndKind) {
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "create", .plural = "jobs"});
  ASSERT_TRUE(Scale(2).ok());
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "Forbidden");
  EXPECT_THAT(Observe().trouble->message, HasSubstr("Job"));
}

TEST_F(JobPoolCallsTest, R30_ADeletionThatIsRefusedIsRepeatedOnR19sScheduleToo) {
  Settle(2);
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "delete", .plural = "jobs"});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Stop().ok());
  EXPECT_EQ(Calls("delete"), 1);
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "Forbidden");
  clock_.Advance(13s);
  ASSERT_TRUE(Stop().ok());
  EXPECT_EQ(Calls("delete"), 2);
}

TEST_F(JobPoolCallsTest, R30_WhatIsNotWantedIsLetGoThoughAnotherIsRefused) {
  ASSERT_TRUE(Scale(1200).ok());
  See();
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "patch", .name = "reprice-run"});
  ASSERT_TRUE(Scale(400).ok());
  EXPECT_EQ(Calls("delete"), 2);
}

TEST_F(JobPoolCallsTest, R30_WhatWasRefusedAndIsNotWantedAnyMoreIsNoTrouble) {
  ASSERT_TRUE(Scale(400).ok());
  server_.SetQuota("jobs", "shop", 1);
  ASSERT_TRUE(Scale(1200).ok());
  ASSERT_TRUE(Observe().trouble.has_value());
  ASSERT_TRUE(Scale(400).ok());
  EXPECT_FALSE(Observe().trouble.has_value());
}

TEST_F(JobPoolCallsTest, APodThatNoJobControlsIsNobodysWorker) {
  Settle(2);
  SettleStopped();
  ASSERT_EQ(Observe().alive, 0);
  json pod = {{"metadata",
               {{"name", "debug"},
                {"labels",
                 {{"app.kubernetes.io/name", "backfill-worker"},
                  {"backfill.dev/backfill-uid", backfill_.uid},
                  {"backfill.dev/stage", "run"},
                  {"backfill.dev/pool", "0"}}}}},
              {"spec", {{"containers", json::array({{{"name", "a"}, {"image", "b"}}})}}}};
  ASSERT_EQ(server_.Do(kube::HttpMethod::kPost, "/api/v1/namespaces/shop/pods", pod.dump()).status,
            201);
  See();
  EXPECT_EQ(Observe().alive, 0);
}

TEST_F(JobPoolCallsTest, R30_InANamespaceThatGoesNothingIsMade) {
  server_.Do(kube::HttpMethod::kDelete, "/api/v1/namespaces/shop");
  ASSERT_TRUE(Scale(2).ok());
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "NamespaceTerminating");
  EXPECT_TRUE(Observe().namespace_goes);
}

TEST_F(JobPoolCallsTest, R30_ANamespaceThatGoesIsSeenByThePodsThatGo) {
  Settle(2);
  controller_.HoldEnds();
  DeletePods();
  EXPECT_FALSE(Observe().namespace_goes) << "somebody has deleted pods, which come again";
  server_.Do(kube::HttpMethod::kDelete, "/api/v1/namespaces/shop");
  EXPECT_FALSE(Observe().namespace_goes) << "it is not asked each time";
  clock_.Advance(options_.look_period);
  EXPECT_TRUE(Observe().namespace_goes);
  EXPECT_EQ(Calls("create"), 3) << "the Job, and two questions";

  ASSERT_TRUE(Scale(3).ok());
  clock_.Advance(60s);
  EXPECT_TRUE(Observe().namespace_goes) << "it does not come back";
  EXPECT_EQ(Calls("create") + Calls("patch"), 3);
  ASSERT_TRUE(Stop().ok());
  EXPECT_TRUE(Job().is_null()) << "before its pods: background";
  controller_.ReleaseEnds();
  EXPECT_EQ(SettleStopped().alive, 0);
}

TEST_F(JobPoolCallsTest, R30_WorkersThatWorkAreNoReasonToAskForTheirNamespace) {
  Settle(2);
  clock_.Advance(60s);
  Observe();
  EXPECT_EQ(Calls("create"), 1);
}

TEST_F(JobPoolCallsTest, R30_WhoMayNotAskTakesTheNamespaceForOneThatStays) {
  Settle(2);
  controller_.HoldEnds();
  DeletePods();
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "create", .plural = "jobs"});
  EXPECT_FALSE(Observe().namespace_goes);
  EXPECT_FALSE(Observe().trouble.has_value());
}

TEST_F(JobPoolCallsTest, R30_WhatIsInvalidIsNotRepeated) {
  server_.FailAlways(Fault::DeniedByPolicy("no images from nowhere"),
                     {.verb = "create", .plural = "jobs"});
  ASSERT_TRUE(Scale(2).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(Calls("create"), 1);
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "InvalidSpec");
  EXPECT_THAT(Observe().trouble->message, HasSubstr("no images from nowhere"));
  server_.Heal();
  backfill_.spec.workers.pod_template = R"({"spec":{"priority":1}})";
  EXPECT_EQ(Settle(2).alive, 2) << "what was changed is tried at once";
}

TEST_F(JobPoolCallsTest, F6_AnOverloadedServerIsTheCallersToWaitFor) {
  server_.FailNext(1, Fault::TooManyRequests(7s), {.verb = "create", .plural = "jobs"});
  const Status scaled = Scale(2);
  ASSERT_FALSE(scaled.ok());
  EXPECT_EQ(scaled.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(scaled.error().retry_after, 7s);
  EXPECT_FALSE(Observe().trouble.has_value());
  ASSERT_TRUE(Scale(2).ok());
}

TEST_F(JobPoolCallsTest, WhatPodsMountIsThereBeforeTheirJob) {
  Status ready = Error{ErrorCode::kConflict, "backfill-operator-ca belongs to somebody else"};
  int asked = 0;
  options_.prepare = [&](const std::string& ns) {
    EXPECT_EQ(ns, "shop");
    ++asked;
    return ready;
  };
  Restart();
  ASSERT_TRUE(Scale(2).ok());
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(asked, 1) << "again on R19's schedule";
  EXPECT_EQ(Calls("create"), 0);
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "NameConflict");
  ready = Ok{};
  clock_.Advance(13s);
  EXPECT_EQ(Settle(2).alive, 2);
  EXPECT_GE(asked, 2) << "it must stay there";
  ready = Error{ErrorCode::kUnavailable, "no certificate yet"};
  EXPECT_EQ(Scale(2).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(Scale(0).ok()) << "who ends needs nothing";
}

TEST_F(JobPoolCallsTest, F25_ARestartKeepsTheSchedule) {
  server_.SetQuota("jobs", "shop", 0);
  ASSERT_TRUE(Scale(2).ok());
  api::Condition ready;
  ready.type = "Ready";
  ready.status = api::ConditionStatus::kFalse;
  ready.reason = "QuotaExceeded";
  ready.last_transition_time = FormatWallTime(clock_.Wall());
  backfill_.status.conditions = {ready};
  server_.LiftQuotas();
  Restart();
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(Calls("create"), 1) << "the first was before the restart";
  clock_.Advance(13s);
  EXPECT_EQ(Settle(2).alive, 2);
}

// After every call in turn the process dies; another takes over.
TEST_F(JobPoolCallsTest, F1_CrashAfterEveryApiCall) {
  const auto work = [this](int replicas) {
    for (int i = 0; i < 3; ++i) {
      if (!Scale(replicas).ok()) return;
      See();
    }
  };
  for (int calls = 0; calls < 12; ++calls) {
    SCOPED_TRACE(calls);
    server_.GoDownAfter(calls);
    work(1);
    backfill_.spec.workers.pod_template = R"({"spec":{"priority":)" + std::to_string(calls) + "}}";
    work(2);
    server_.ComeBack();
    Restart();
    const PoolStatus status = Settle(2);
    EXPECT_EQ(status.alive, 2);
    EXPECT_THAT(Running(), SizeIs(2));
    EXPECT_FALSE(status.trouble.has_value());
    EXPECT_EQ(Job()["metadata"]["labels"]["backfill.dev/template-hash"],
              TemplateHash(backfill_, options_.job));
    SettleStopped();
    EXPECT_TRUE(Job().is_null());
  }
}

// F24: the informer of pods, reconcilers of the same and of other stages at once.
TEST_F(JobPoolCallsTest, F24_Threads) {
  Settle(3);
  std::vector<kube::ApiObjectPtr> with = pods_->List(), without;
  for (const kube::ApiObjectPtr& object : with) {
    auto pod = std::make_shared<kube::Pod>(*kube::As<kube::Pod>(object));
    pod->tracked = false;
    pod->meta.resource_version += "0";
    without.push_back(std::move(pod));
  }
  options_.on_deleted = nullptr;  // of this test's one thread
  options_.on_gone = nullptr;
  JobPool pool(api_, *jobs_, *pods_, clock_, options_);
  pods_->AddListener(&pool);
  std::atomic<int> version = 1'000'000;
  {
    const std::jthread informer([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        pods_->Replace(without, std::to_string(++version));
        pods_->Replace({}, std::to_string(++version));
        pods_->Replace(with, std::to_string(++version));
      }
    });
    std::vector<std::jthread> reconcilers;
    for (const Stage stage : {Stage::kRun, Stage::kRun, Stage::kDryRun}) {
      reconcilers.emplace_back([&, stage] {
        for (int i = 0; i < 20; ++i) {
          (void)pool.Scale(backfill_, stage, 1 + i % 3);  // the other one's patch may win
          (void)pool.Observe(backfill_, stage);
          if (i % 10 == 9) (void)pool.Stop(KeyOf(backfill_, stage));
        }
      });
    }
  }
  EXPECT_GT(version.load(), 1'000'000);
}

// The stage `plan` goes before the plan: its Job is made, replaced, counted and deleted as any
// other.
TEST_F(JobPoolCallsTest, TheWorkerThatPlansIsAJobOfItsOwn) {
  backfill_.status.plan.reset();
  const auto settle = [this](int steps = 6) {
    for (int i = 0; i < steps; ++i) {
      EXPECT_TRUE(pool_->Scale(backfill_, Stage::kPlan, 1).ok());
      controller_.Settle();
      See();
    }
    return pool_->Observe(backfill_, Stage::kPlan);
  };
  EXPECT_EQ(settle().alive, 1);
  EXPECT_THAT(controller_.Running("reprice-plan"), SizeIs(1));
  EXPECT_EQ(Observe().alive, 0) << "it is none of the run";
  controller_.Exit("reprice-plan", 0, 137, "OOMKilled");
  controller_.Settle();
  See();
  clock_.Advance(15s);
  const PoolStatus seen = settle();
  EXPECT_EQ(seen.alive, 1) << "the Job controller starts another";
  EXPECT_EQ(seen.failures, 1U);
  EXPECT_THAT(pool_->Observe(backfill_, Stage::kPlan).last_failure, HasSubstr("plan-0"));
  Restart();
  EXPECT_EQ(settle().alive, 1);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(pool_->Stop(KeyOf(backfill_, Stage::kPlan)).ok());
    controller_.Settle();
    See();
  }
  EXPECT_EQ(pool_->Observe(backfill_, Stage::kPlan).alive, 0);
  EXPECT_TRUE(Job("reprice-plan").is_null());
  EXPECT_EQ(settle().alive, 1) << "who ended it may have it again at once";
}

// F16: flapping between one and many, edits of the template: it ends as the last one says.
TEST_F(JobPoolCallsTest, F16_EditStorm) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(Scale(i % 2 == 0 ? 4 : 1).ok());
    if (i % 7 == 0)
      backfill_.spec.workers.pod_template = R"({"spec":{"priority":)" + std::to_string(i) + "}}";
    if (i % 3 == 0) controller_.Step();
    if (i % 5 == 0) See();
  }
  EXPECT_EQ(Settle(2).alive, 2);
  EXPECT_THAT(Running(), SizeIs(2));
}

}  // namespace
}  // namespace backfill::reconcile
