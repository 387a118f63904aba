// What a user of a cluster sees: kubectl apply, worker Jobs, conditions, events, the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/e2e/cluster_machine.h"

namespace backfill::e2e {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

using OperatorTest = ClusterMachine;

TEST_F(OperatorTest, AnAppliedBackfillRunsToItsEnd) {
  TargetIs({.bitmap = 20'000});
  StartOperator();
  Apply({.end = 20'000, .replicas = 3});
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 90s));
  EXPECT_EQ(sink_->stats().missing, 0u);
  const auto status = Get().at("status");
  EXPECT_EQ(status.at("progress").at("records"), 20'000);
  EXPECT_EQ(status.at("phase"), "Completed");
  // The Job goes with its work, the report stays.
  EXPECT_THAT(Kubectl({"get", "pods", "-n", ns_, "-o", "name"}), IsEmpty());
  EXPECT_THAT(Kubectl({"get", "configmap", "touch-report", "-n", ns_, "-o", "jsonpath={.data}"}),
              HasSubstr("Completed"));
  EXPECT_THAT(EventReasons(), IsSupersetOf({"PlanComputed", "RunStarted", "Completed"}));
}

TEST_F(OperatorTest, ADryRunSendsNothingAndWaitsForAPerson) {
  StartOperator();
  Apply({.end = 500, .real = false});
  ASSERT_TRUE(Becomes("Ready", "True/DryRunCompleted", 90s));
  EXPECT_EQ(Condition("Approved"), "False/DryRun");
  EXPECT_EQ(sink_->stats().requests, 0u);
  Patch(R"({"spec":{"dryRun":false,"performDisruptiveBackfill":"touch"}})");
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 90s));
  EXPECT_EQ(sink_->stats().requests, 500u);
}

TEST_F(OperatorTest, PauseHoldsAndResumeGoesOn) {
  TargetIs({.bitmap = 20'000});
  StartOperator();
  Apply({.end = 20'000, .rate = 2'000});
  ASSERT_TRUE(TargetSees(2'000));
  Kubectl({"annotate", "backfill", "touch", "-n", ns_, "backfill.dev/paused=looking into it"});
  ASSERT_TRUE(Becomes("Paused", "True/AnnotationPaused"));
  const auto after = sink_->stats().requests;
  EXPECT_FALSE(TargetSees(after + 500, 3s));
  Kubectl({"annotate", "backfill", "touch", "-n", ns_, "backfill.dev/paused-"});
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 90s));
  EXPECT_EQ(sink_->stats().missing, 0u);
}

TEST_F(OperatorTest, F12_AKilledWorkerIsReplacedAndNothingIsLost) {
  TargetIs({.bitmap = 30'000});
  StartOperator();
  Apply({.end = 30'000, .rate = 2'000, .replicas = 2});
  ASSERT_TRUE(TargetSees(5'000));
  kill(kubelet_->Running().at(0).pid, SIGKILL);
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 180s));
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_LT(sink_->stats().duplicates, 2'000u);
}

TEST_F(OperatorTest, F10_WorkGoesOnAfterTheOperatorWasKilled) {
  TargetIs({.bitmap = 30'000});
  StartOperator();
  Apply({.end = 30'000, .rate = 2'000, .replicas = 2});
  ASSERT_TRUE(TargetSees(5'000));
  const auto uids = kubelet_->Running();
  Operator().Signal(SIGKILL);
  Operator().Wait(5s);
  const int port = operators_.front().grpc_port;
  operators_.clear();
  StartOperator({"--grpc-listen", "127.0.0.1:" + std::to_string(port)});
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 180s));
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(kubelet_->started(), 2) << "workers went on through the restart";
}

TEST_F(OperatorTest, ADeletedBackfillDrainsAndLeavesItsReport) {
  StartOperator();
  Apply({.end = 1'000'000, .rate = 1'000});
  ASSERT_TRUE(TargetSees(2'000));
  Kubectl({"delete", "backfill", "touch", "-n", ns_, "--timeout=90s"});
  EXPECT_THAT(kubelet_->Running(), IsEmpty());
  EXPECT_THAT(Kubectl({"get", "configmap", "touch-report", "-n", ns_, "-o", "jsonpath={.data}"}),
              HasSubstr("Cancelled"));
  // GitOps brings it back: it does not run again.
  Apply({.end = 1'000'000, .rate = 1'000});
  ASSERT_TRUE(Becomes("Stalled", "True/AlreadyRan"));
}

}  // namespace
}  // namespace backfill::e2e
