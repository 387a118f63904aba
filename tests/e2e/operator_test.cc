// What a user of a cluster sees: kubectl apply, worker Jobs, conditions, events, the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <thread>

#include "tests/e2e/cluster_machine.h"
#include "tests/rows/file_server.h"

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
  ASSERT_TRUE(TargetComesToRest());
  EXPECT_FALSE(TargetSees(sink_->stats().requests + 1, 3s));
  Kubectl({"annotate", "backfill", "touch", "-n", ns_, "backfill.dev/paused-"});
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 90s));
  EXPECT_EQ(sink_->stats().missing, 0u);
}

// Two send what one may, and go on with that when one of them is paused. An operator that has just
// begun to lead waits until no grant of another one can be in force.
TEST_F(OperatorTest, BackfillsOfAGroupShareOneRate) {
  StartOperator();
  const std::string group =
      "group: {name: orders}, override: {type: Cap, recordsPerSecond: 200, until: "
      "\"2099-01-01T00:00:00Z\", reason: one target}";
  Apply({.name = "touch", .end = 1'000'000, .rate = 1'000, .throttle = group});
  Apply({.name = "retouch", .end = 1'000'000, .rate = 1'000, .throttle = group});
  const auto limit = [this](const std::string& name) {
    const auto status = Get(name).value("status", nlohmann::json::object());
    return status.value("rate", nlohmann::json::object()).value("limit", 0.0);
  };
  ASSERT_TRUE(Eventually(
      [&] { return std::abs(limit("touch") - 100) < 1 && std::abs(limit("retouch") - 100) < 1; },
      150s));
  const auto sent_in = [this](Duration time) {
    const auto before = sink_->stats().requests;
    std::this_thread::sleep_for(time);
    return static_cast<double>(sink_->stats().requests - before);
  };
  const double together = sent_in(5s);
  EXPECT_LE(together, 1'000 * 1.15) << "the bursts of two";
  EXPECT_GE(together, 1'000 * 0.7);
  Patch(R"({"spec":{"paused":true}})");
  EXPECT_TRUE(Eventually([&] { return limit("retouch") > 199; }));
  EXPECT_LE(sent_in(5s), 1'000 * 1.15);
  EXPECT_THAT(Get("retouch").at("status").at("throttle").at("reason"),
              HasSubstr("group orders, shared with 1 other"));
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
  ASSERT_TRUE(Eventually([&] { return NotReady().empty(); }, 60s));
  Apply({.end = 40'000, .rate = 2'000, .replicas = 2});
  ASSERT_TRUE(TargetSees(5'000));
  const std::size_t follower = StartOperator();
  ASSERT_TRUE(Eventually([&] { return NotReady(follower).empty(); }, 60s));
  EXPECT_EQ(Metric("leader_election_master_status", follower), 0);
  Operator().Signal(SIGKILL);
  ASSERT_TRUE(
      Eventually([&] { return Metric("leader_election_master_status", follower) == 1; }, 60s));
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
  ASSERT_TRUE(Eventually([&] { return Metric("leader_election_master_status", other) == 1; }, 60s));
  Operator().Signal(SIGCONT);
  EXPECT_EQ(Operator().Wait(60s).code, 1) << "it exits once it sees that it leads no more";
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
  EXPECT_TRUE(NoWorkerIsLeft());
  EXPECT_THAT(Kubectl({"get", "configmap", "touch-report", "-n", ns_, "-o", "jsonpath={.data}"}),
              HasSubstr("Cancelled"));
  // GitOps brings it back: it does not run again.
  Apply({.end = 1'000'000, .rate = 1'000});
  ASSERT_TRUE(Becomes("Stalled", "True/AlreadyRan"));
}

// ---- a file: the operator has none, so a worker plans

class FileOnAClusterTest : public ClusterMachine {
 protected:
  // Pods are processes of this machine, so a path of this machine is one of theirs.
  [[nodiscard]] std::filesystem::path data() const { return dir_.path() / "rows.csv"; }
  void FileHas(int rows, const std::string& header = "id,state") {
    std::string text = header + "\n";
    for (int i = 0; i < rows; ++i) text += std::to_string(i) + ",open\n";
    WriteFile(data(), text);
  }
  [[nodiscard]] Spec OfTheFile(bool real = true) const {
    return {.real = real,
            .source = "file: {path: " + data().string() + ", format: Csv, key: id}",
            .http_extra = "      body: '{{fields.state}}'\n"};
  }
  std::string MessageOf(const std::string& type) {
    const auto object = Get();
    for (const auto& c : object.at("status").at("conditions"))
      if (c.at("type") == type) return c.value("message", "");
    return "";
  }
  // As `backfill plan` says.
  std::string HashOnThisMachine() {
    Process::Options how{};
    how.dir = dir_.path();
    Process plan({std::string(BACKFILL_BIN_DIR) + "/backfill", "plan", "-f",
                  (dir_.path() / "backfill.yaml").string(), "-o", "json"},
                 how);
    plan.Wait(60s);
    return nlohmann::json::parse(plan.Out(), nullptr, false).value("planHash", "");
  }
  void TryNow(const std::string& value) {
    Kubectl({"annotate", "backfill", "touch", "-n", ns_, "--overwrite",
             "backfill.dev/reconcile-at=" + value});
  }
};

TEST_F(FileOnAClusterTest, AWorkerPlansItAndTheHashIsThatOfThisMachine) {
  TargetIs({.bitmap = 5'000});
  FileHas(5'000);
  StartOperator();
  Apply(OfTheFile());
  ASSERT_TRUE(Becomes("Succeeded", "True/Completed", 120s));
  EXPECT_EQ(sink_->stats().missing, 0u);
  const auto plan = Get().at("status").at("plan");
  EXPECT_EQ(plan.at("records"), 5'000);
  EXPECT_EQ(plan.at("hash"), HashOnThisMachine());
  EXPECT_EQ(kubelet_->started(), 3) << "one to plan, two to run";
  EXPECT_THAT(Kubectl({"get", "jobs,pods", "-n", ns_, "-o", "name"}), IsEmpty());
}

TEST_F(FileOnAClusterTest, WhatIsWrongWithTheFileIsSaidAndHealsOnceItIsMended) {
  StartOperator();
  Apply(OfTheFile(/*real=*/false));
  ASSERT_TRUE(Becomes("Ready", "False/SourceUnavailable", 90s));
  EXPECT_THAT(MessageOf("Ready"), HasSubstr("No such file"));
  FileHas(10, "id,other");
  TryNow("1");
  ASSERT_TRUE(Becomes("Stalled", "True/InvalidSpec", 90s));
  EXPECT_THAT(MessageOf("Planned"), HasSubstr("{{fields.state}} is no column"));
  FileHas(10);
  TryNow("2");
  ASSERT_TRUE(Becomes("Ready", "True/DryRunCompleted", 120s));
}

TEST_F(FileOnAClusterTest, F10_TheWorkerThatPlansGoesOnUnderTheNextOperator) {
  std::string rows = "id,state\n";
  for (int i = 0; i < 1'000; ++i) rows += std::to_string(i) + ",open\n";
  rows::FileServer server(rows);
  server.HangNext();  // until the worker asks again
  StartOperator();
  Spec spec = OfTheFile(/*real=*/false);
  spec.source = "file: {path: '" + server.Url() + "', format: Csv, key: id}";
  Apply(spec);
  ASSERT_TRUE(Eventually([&] { return server.requests() > 0; }, 60s));
  ASSERT_TRUE(Becomes("Ready", "Unknown/Planning"));
  RestartOperator();
  ASSERT_TRUE(Eventually([&] { return Get().at("status").contains("plan"); }, 120s));
  EXPECT_EQ(Get().at("status").at("plan").at("records"), 1'000);
  ASSERT_TRUE(Becomes("Ready", "True/DryRunCompleted", 90s));
  EXPECT_EQ(kubelet_->started(), 3) << "it was not started again";
}

TEST_F(FileOnAClusterTest, DeletedWhileItIsReadItLeavesNothing) {
  rows::FileServer server("id,state\n1,open\n");
  server.HangNext();
  StartOperator();
  Spec spec = OfTheFile();
  spec.source = "file: {path: '" + server.Url() + "', format: Csv, key: id}";
  Apply(spec);
  ASSERT_TRUE(Eventually([&] { return server.requests() > 0; }, 60s));
  Kubectl({"delete", "backfill", "touch", "-n", ns_, "--timeout=90s"});
  EXPECT_TRUE(NoWorkerIsLeft());
  EXPECT_THAT(Kubectl({"get", "jobs,pods", "-n", ns_, "-o", "name"}), IsEmpty());
}

}  // namespace
}  // namespace backfill::e2e
