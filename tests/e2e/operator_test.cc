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

TEST_F(OperatorTest, OneOfSeveralWatchedNamespacesIsServedLikeTheOnlyOne) {
  StartOperator({"--watch-namespaces", "kube-public"});  // besides the test's own
  Apply({.end = 500});
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
  RestartOperator();
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 180s));
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(kubelet_->started(), 2) << "workers went on through the restart";
}

TEST_F(OperatorTest, F10_AnotherReplicaTakesOverFromOneThatIsKilled) {
  TargetIs({.bitmap = 40'000});
  StartOperator();
  ASSERT_TRUE(TimeUntil(20s, [&] { return NotReady().empty(); }).has_value());
  Apply({.end = 40'000, .rate = 2'000, .replicas = 2});
  ASSERT_TRUE(TargetSees(5'000));
  const std::size_t follower = StartOperator();
  ASSERT_TRUE(TimeUntil(20s, [&] { return NotReady(follower).empty(); }).has_value());
  EXPECT_EQ(Metric("leader_election_master_status", follower), 0);
  Operator().Signal(SIGKILL);
  ASSERT_TRUE(TimeUntil(20s, [&] {
                return Metric("leader_election_master_status", follower) == 1;
              }).has_value());
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 180s));
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(kubelet_->started(), 2);
}

TEST_F(OperatorTest, F10_ALeaderThatWasStoppedAndWakesUpDoesNoHarm) {
  TargetIs({.bitmap = 40'000});
  StartOperator();
  Apply({.end = 40'000, .rate = 2'000, .replicas = 2});
  ASSERT_TRUE(TargetSees(5'000));
  const std::size_t other = StartOperator();
  Operator().Signal(SIGSTOP);
  ASSERT_TRUE(TimeUntil(30s, [&] {
                return Metric("leader_election_master_status", other) == 1;
              }).has_value());
  Operator().Signal(SIGCONT);
  EXPECT_EQ(Operator().Wait(20s).code, 1) << "it exits once it sees that it leads no more";
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 180s));
  EXPECT_EQ(sink_->stats().missing, 0u);
}

TEST_F(OperatorTest, ALaunchTakesFiveWritesBesidesLedgersAndStatus) {
  StartOperator();
  Apply({.end = 5'000, .replicas = 2, .records_per_shard = 10});
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 120s));
  // Of this operator alone: others use the same server.
  const auto lines = plane_->Requests("backfill-operator/");
  ASSERT_TRUE(lines.ok()) << lines.error().message;
  int writes = 0, status = 0, ledgers = 0, deletions = 0;
  for (const auto& line : *lines) {
    if (line.space != ns_ || line.verb == "get" || line.verb == "list" || line.verb == "watch")
      continue;
    if (line.resource == "leases" || line.resource == "secrets" || line.resource == "events" ||
        line.resource == "tokenreviews")
      continue;
    if (line.subresource == "status") {
      ++status;
    } else if (line.resource == "backfillledgers") {
      ++ledgers;
    } else if (line.verb == "delete") {
      ++deletions;
    } else {
      ++writes;
    }
  }
  // Finalizer, CA bundle, report (begun, finished), Job.
  EXPECT_LE(writes, 5);
  EXPECT_LE(status, 12);
  EXPECT_LE(ledgers, 30);
  EXPECT_LE(deletions, 1);
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
