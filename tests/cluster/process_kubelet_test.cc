#include "tests/cluster/process_kubelet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"

namespace backfill::cluster {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ProcessKubeletTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    Kubectl({"create", "namespace", ns_});
    Kubectl({"wait", "--for=create", "serviceaccount/default", "-n", ns_, "--timeout=30s"});
  }
  // Every pod runs this script of the shell.
  void NodeRuns(const std::string& script) {
    auto started = ProcessKubelet::Start({.kubeconfig = plane_->kubeconfig(),
                                          .ns = ns_,
                                          .dir = dir_.path() / "pods",
                                          .command = {"/bin/sh", "-c", script}});
    ASSERT_TRUE(started.ok()) << started.error().message;
    kubelet_ = std::move(started).value();
  }
  void ApplyJob(int replicas) {
    const std::string n = std::to_string(replicas);
    const auto applied = plane_->Apply(R"(
apiVersion: batch/v1
kind: Job
metadata: {name: work, namespace: )" + ns_ +
                                       R"(}
spec:
  completionMode: Indexed
  completions: )" + n + R"(
  parallelism: )" + n + R"(
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: worker
        image: any
        env:
        - {name: TOKEN, value: /identity/token}
        - {name: WORD, value: hello}
        - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
        volumeMounts: [{name: identity, mountPath: /identity}]
      volumes:
      - name: identity
        projected: {sources: [{serviceAccountToken: {audience: somebody, path: token}}]}
)");
    ASSERT_TRUE(applied.ok()) << applied.error().message;
  }
  std::string Kubectl(const std::vector<std::string>& args) {
    const auto said = plane_->Kubectl(args);
    EXPECT_TRUE(said.ok()) << said.error().message;
    return said.ok() ? *said : "";
  }
  bool Runs(std::size_t containers) {
    return e2e::TimeUntil(20s, [&] { return kubelet_->Running().size() == containers; })
        .has_value();
  }

  const std::string ns_ = UniqueName("kubelet");
  const cli::TempDir dir_;
  std::optional<ControlPlane> plane_;
  std::unique_ptr<ProcessKubelet> kubelet_;
};

TEST_F(ProcessKubeletTest, CarriesAJobToItsEnd) {
  NodeRuns(R"(test -s "$TOKEN" && test "$WORD" = hello && test -n "$POD_UID" && )"
           R"(test "$JOB_COMPLETION_INDEX" -lt 2)");
  ApplyJob(2);
  Kubectl({"wait", "--for=condition=Complete", "job/work", "-n", ns_, "--timeout=60s"});
  EXPECT_EQ(kubelet_->started(), 2);
}

TEST_F(ProcessKubeletTest, WhatEndsBadlyIsStartedAgainByTheJobController) {
  NodeRuns("exec sleep 1000");
  ApplyJob(1);
  ASSERT_TRUE(Runs(1));
  kill(kubelet_->Running().at(0).pid, SIGKILL);
  ASSERT_TRUE(e2e::TimeUntil(60s, [&] { return kubelet_->started() == 2; }).has_value());
  EXPECT_THAT(
      Kubectl({"get", "pods", "-n", ns_, "-o",
               "jsonpath={.items[*].status.containerStatuses[0].state.terminated.exitCode}"}),
      HasSubstr("137"));
}

TEST_F(ProcessKubeletTest, ADeletedPodIsAskedToEndAndThenGone) {
  NodeRuns("trap 'exit 0' TERM; while :; do sleep 0.1; done");
  ApplyJob(1);
  ASSERT_TRUE(Runs(1));
  Kubectl({"delete", "job", "work", "-n", ns_, "--cascade=foreground"});
  EXPECT_TRUE(Runs(0));
}

}  // namespace
}  // namespace backfill::cluster
