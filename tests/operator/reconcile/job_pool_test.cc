// What a pool of Jobs becomes, and what is seen of it.
#include "operator/reconcile/job_pool.h"

#include "tests/operator/reconcile/job_pool_fixture.h"

namespace backfill::reconcile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class JobPoolTest : public JobPoolFixture {};

TEST_F(JobPoolTest, MakesAJobWhosePodsWork) {
  const PoolStatus status = Settle(3);
  EXPECT_THAT(Running(), SizeIs(3));
  EXPECT_EQ(status.desired, 3);
  EXPECT_EQ(status.alive, 3);
  EXPECT_EQ(status.failures, 0U);
  EXPECT_FALSE(status.trouble.has_value());
  EXPECT_EQ(Calls("create"), 1);
  EXPECT_EQ(Job()["metadata"]["annotations"]["backfill.dev/plan-hash"], "sha256:ab");
}

TEST_F(JobPoolTest, R28_GrowsAndShrinksInPlace) {
  Settle(2);
  const std::vector<std::string> first = Running();
  Settle(5);
  EXPECT_THAT(Running(), SizeIs(5));
  const PoolStatus status = Settle(1);
  EXPECT_EQ(status.alive, 1);
  EXPECT_EQ(status.failures, 0U) << "those that had to go did not fail";
  EXPECT_THAT(Running(), ElementsAre(first[0])) << "the first one was left alone";
  EXPECT_EQ(Calls("patch"), 2);
  EXPECT_EQ(Calls("delete"), 0);
}

TEST_F(JobPoolTest, ForNobodyTheJobIsSuspended) {
  Settle(3);
  PoolStatus status = Settle(0);
  EXPECT_EQ(Job()["spec"]["suspend"], true);
  EXPECT_EQ(Job()["spec"]["completions"], 3) << "a Job of 0 would be complete";
  EXPECT_EQ(status.alive, 0);
  EXPECT_EQ(status.desired, 0);
  EXPECT_TRUE(status.remains);
  status = Settle(3);
  EXPECT_EQ(status.alive, 3);
  EXPECT_FALSE(status.remains);
}

TEST_F(JobPoolTest, ASuspendedJobWorksUntilItsPodsAreGone) {
  Settle(2);
  controller_.HoldEnds();
  EXPECT_GT(Settle(0).alive, 0);
  controller_.ReleaseEnds();
  EXPECT_EQ(Settle(0).alive, 0);
}

TEST_F(JobPoolTest, AJobThatWasJustMadeCountsAsAlive) {
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_GT(Observe().alive, 0) << "its pods may come at any moment";
}

TEST_F(JobPoolTest, AnotherTemplateReplacesTheJob) {
  Settle(2);
  const std::string old = Job()["metadata"]["uid"];
  backfill_.spec.workers.pod_template = R"({"spec":{"nodeSelector":{"disk":"ssd"}}})";
  controller_.HoldEnds();
  PoolStatus status = Settle(2);
  EXPECT_TRUE(status.replacing);
  EXPECT_GT(status.alive, 0) << "its workers drain";
  EXPECT_EQ(Job()["metadata"]["uid"], old) << "never two pods of an index";
  controller_.ReleaseEnds();
  status = Settle(2);
  EXPECT_FALSE(status.replacing);
  EXPECT_EQ(status.alive, 2);
  EXPECT_NE(Job()["metadata"]["uid"], old);
  EXPECT_EQ(Job()["spec"]["template"]["spec"]["nodeSelector"]["disk"], "ssd");
  EXPECT_FALSE(status.trouble.has_value());
  EXPECT_EQ(Calls("delete"), 1);
}

TEST_F(JobPoolTest, AboveFiveHundredThereAreSeveralJobs) {
  ASSERT_TRUE(Scale(1200).ok());
  See();
  EXPECT_EQ(Job()["spec"]["parallelism"], 500);
  EXPECT_EQ(Job("reprice-run-1")["spec"]["parallelism"], 500);
  EXPECT_EQ(Job("reprice-run-2")["spec"]["parallelism"], 200);
  EXPECT_EQ(Job("reprice-run-2")["spec"]["template"]["metadata"]["labels"]["backfill.dev/pool"],
            "2");
  ASSERT_TRUE(Scale(600).ok());
  EXPECT_EQ(Job("reprice-run-1")["spec"]["completions"], 100);
  server_.CollectGarbage();
  EXPECT_TRUE(Job("reprice-run-2").is_null());
  EXPECT_EQ(Observe().desired, 600);
}

TEST_F(JobPoolTest, OneThatEndedWhileThereIsWorkIsMadeAgainOnR19sSchedule) {
  Settle(2);
  controller_.Exit("reprice-run", 0, 0);
  controller_.Exit("reprice-run", 1, 0);
  EXPECT_EQ(Settle(2).alive, 0);
  EXPECT_TRUE(Job().is_null()) << "it was deleted at once";
  clock_.Advance(9s);
  Settle(2);
  EXPECT_EQ(Calls("create"), 1);
  clock_.Advance(4s);
  EXPECT_EQ(Settle(2).alive, 2);
  EXPECT_EQ(Calls("create"), 2);
}

TEST_F(JobPoolTest, OneThatSomebodyDeletedIsMadeAgainOnR19sSchedule) {
  Settle(2);
  DeleteJob();
  EXPECT_EQ(Settle(2).alive, 0);
  EXPECT_EQ(Calls("create"), 1);
  clock_.Advance(13s);
  EXPECT_EQ(Settle(2).alive, 2);
}

TEST_F(JobPoolTest, AnEndedJobStaysToBeLookedAtUnlessItIsWanted) {
  Settle(1);
  controller_.Exit("reprice-run", 0, 0);
  controller_.Settle();
  See();
  const PoolStatus status = SettleStopped();
  EXPECT_EQ(status.alive, 0);
  EXPECT_FALSE(status.remains);
  EXPECT_FALSE(Job().is_null());
}

TEST_F(JobPoolTest, StopWaitsForTheLastPod) {
  Settle(3);
  controller_.HoldEnds();
  EXPECT_GT(SettleStopped().alive, 0);
  EXPECT_FALSE(Job().is_null()) << "foreground: pods go before their Job";
  controller_.ReleaseEnds();
  const PoolStatus status = SettleStopped();
  EXPECT_EQ(status.alive, 0);
  EXPECT_EQ(status.desired, 0);
  EXPECT_TRUE(Job().is_null());
  EXPECT_EQ(Calls("delete"), 1);
}

TEST_F(JobPoolTest, PodsWhoseJobIsGoneAreAlive) {
  Settle(2);
  controller_.HoldEnds();
  server_.Do(kube::HttpMethod::kDelete,
             "/apis/batch/v1/namespaces/shop/jobs/reprice-run?propagationPolicy=Background");
  ASSERT_TRUE(Stop().ok());
  server_.CollectGarbage();
  See();
  ASSERT_TRUE(Job().is_null());
  EXPECT_EQ(Observe().alive, 2);
}

// ---- how workers end

TEST_F(JobPoolTest, F12_AWorkerWhoseEndTheKubeletSawIsGone) {
  Settle(2);
  const std::string uid = controller_.UidOf("reprice-run", 1);
  controller_.Exit("reprice-run", 1, 137, "OOMKilled");
  const PoolStatus status = Settle(2);
  EXPECT_EQ(status.failures, 1U);
  EXPECT_THAT(gone_, ElementsAre("run-1 " + uid));
  EXPECT_THAT(deleted_, ElementsAre("run-1"));
  EXPECT_THAT(Observe().last_failure, HasSubstr("run-1 (pod reprice-run-1-"));
  EXPECT_THAT(Observe().last_failure, HasSubstr("exited with 137 (OOMKilled)"));
  EXPECT_EQ(Observe().alive, 1) << "the controller waits before it starts another";
  clock_.Advance(10s);
  EXPECT_EQ(Settle(2).alive, 2);
}

TEST_F(JobPoolTest, F12_ADisruptionIsNoFailure) {
  Settle(2);
  controller_.Disrupt("reprice-run", 0);
  const PoolStatus status = Settle(2);
  EXPECT_EQ(status.failures, 0U);
  EXPECT_EQ(status.alive, 2);
}

TEST_F(JobPoolTest, F13_OfALostNodeNobodyKnowsThatTheWorkerEnded) {
  Settle(2);
  controller_.LoseNode("reprice-run", 1);
  Settle(2);
  Observe();
  EXPECT_THAT(deleted_, ElementsAre("run-1")) << "it may act for nobody";
  EXPECT_THAT(gone_, IsEmpty()) << "but it may still send";
}

TEST_F(JobPoolTest, ExitCode78IsAConfigError) {
  Settle(2);
  controller_.Exit("reprice-run", 0, 78);
  controller_.Settle();
  See();
  PoolStatus status = Observe();
  EXPECT_TRUE(status.config_error);
  EXPECT_THAT(status.last_failure, HasSubstr("exit code 78"));
  status = SettleStopped();
  EXPECT_EQ(status.alive, 0);
  EXPECT_EQ(status.desired, 0);
  EXPECT_TRUE(status.config_error) << "it is not forgotten with its workers";

  Restart();
  EXPECT_TRUE(Observe().config_error) << "nor by another operator";
  const StageKey key = KeyOf(backfill_, Stage::kRun);
  backfill_.spec.workers.pod_template = R"({"spec":{"nodeSelector":{"disk":"ssd"}}})";
  EXPECT_FALSE(pool_->Observe(backfill_, key.stage).config_error) << "that may have healed it";
  EXPECT_EQ(Settle(2).alive, 2) << "at once";
}

TEST_F(JobPoolTest, APersonCanAskForAnotherTryAfterAConfigError) {
  Settle(2);
  controller_.Exit("reprice-run", 0, 78);
  controller_.Settle();
  SettleStopped();
  backfill_.annotations[std::string(kReconcileAtAnnotation)] = "2026-11-28";
  EXPECT_FALSE(Observe().config_error);
  EXPECT_EQ(Observe().failures, 0U);
  EXPECT_EQ(Settle(2).alive, 2);
}

TEST_F(JobPoolTest, FailuresAddUpOverJobs) {
  Settle(2);
  controller_.Exit("reprice-run", 0, 1);
  EXPECT_EQ(Settle(2).failures, 1U);
  DeleteJob();
  Settle(2);
  clock_.Advance(13s);
  EXPECT_EQ(Settle(2).failures, 1U);
  controller_.Exit("reprice-run", 0, 1);
  EXPECT_EQ(Settle(2).failures, 2U);
}

TEST_F(JobPoolTest, FailuresOfAnotherTemplateSayNothing) {
  Settle(2);
  controller_.Exit("reprice-run", 0, 1);
  EXPECT_EQ(Settle(2).failures, 1U);
  backfill_.spec.workers.pod_template = R"({"spec":{"priority":1}})";
  Restart();
  EXPECT_EQ(Observe().failures, 0U);
  ASSERT_TRUE(Scale(2).ok());
  EXPECT_EQ(Observe().failures, 0U);
  EXPECT_EQ(Settle(2).failures, 0U);
}

TEST_F(JobPoolTest, AClockThatIsSetBackHoldsNothingUp) {
  Settle(1);
  DeleteJob();
  Settle(1);
  clock_.StepWall(-1h);
  clock_.Advance(13s);
  EXPECT_EQ(Settle(1).alive, 1);
}

// ---- what is in the way

TEST_F(JobPoolTest, F9_AnImageThatCannotBePulledIsTrouble) {
  controller_.BreakImages();
  Settle(2);
  PoolStatus status = Observe();
  ASSERT_TRUE(status.trouble.has_value());
  EXPECT_EQ(status.trouble->reason, "ImagePullError");
  EXPECT_THAT(status.trouble->message, HasSubstr("ImagePullBackOff: Back-off pulling image"));
  const int looks = server_.Count({.verb = "get", .plural = "pods"});
  Observe();
  EXPECT_EQ(server_.Count({.verb = "get", .plural = "pods"}), looks) << "each 10 s, not more often";
  controller_.RepairImages();
  Settle(2);
  EXPECT_FALSE(Observe().trouble.has_value());
}

TEST_F(JobPoolTest, F9_PodsThatNobodyMakesAreTrouble) {
  controller_.RefusePods();
  EXPECT_FALSE(Settle(2).trouble.has_value()) << "it may take a moment";
  clock_.Advance(20s);
  const PoolStatus status = Observe();
  ASSERT_TRUE(status.trouble.has_value());
  EXPECT_EQ(status.trouble->reason, "WorkersUnavailable");
  EXPECT_THAT(status.trouble->message, HasSubstr("0 of 2 pods"));
  controller_.AllowPods();
  EXPECT_FALSE(Settle(2).trouble.has_value());
}

TEST_F(JobPoolTest, AQueueStartsItsJobs) {
  backfill_.labels["kueue.x-k8s.io/queue-name"] = "nightly";
  PoolStatus status = Settle(2);
  EXPECT_EQ(Job()["spec"]["suspend"], true);
  EXPECT_EQ(status.alive, 0);
  ASSERT_TRUE(status.trouble.has_value());
  EXPECT_THAT(status.trouble->message, HasSubstr("waits in its queue"));
  server_.Do(kube::HttpMethod::kPatch, "/apis/batch/v1/namespaces/shop/jobs/reprice-run",
             R"({"spec":{"suspend":false}})", "application/merge-patch+json");
  controller_.Settle();
  See();
  EXPECT_EQ(Settle(2).alive, 2);
  EXPECT_EQ(Settle(0).alive, 0);
  EXPECT_TRUE(Job().is_null()) << "idle, it gives its place back";
}

}  // namespace
}  // namespace backfill::reconcile
