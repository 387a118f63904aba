#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>

#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"

namespace backfill::cluster {
namespace {

using namespace std::chrono_literals;

// The example's binary on a real API server: what its README promises.
TEST(CopierClusterTest, CopiesOnARealServerAndEndsBySignal) {
  Result<ControlPlane> shared = ControlPlane::Shared();
  if (!shared.ok()) GTEST_SKIP() << shared.error().message;
  const std::string space = "copier-" + std::to_string(getpid());
  const auto kubectl = [&](std::vector<std::string> args) {
    if (args[1] != "namespace") args.insert(args.end(), {"-n", space});
    const Result<std::string> said = shared->Kubectl(args);
    EXPECT_TRUE(said.ok()) << said.error().message;
    return said.ok() ? *said : "";
  };
  ASSERT_TRUE(shared->Kubectl({"create", "namespace", space}).ok());

  const cli::TempDir dir;
  e2e::Process::Options options{};
  options.dir = dir.path();
  options.env = {{"KUBECONFIG", shared->kubeconfig().string()}};
  e2e::Process copier({COPIER}, options);
  kubectl({"create", "configmap", "a", "--from-literal=color=red"});
  kubectl({"label", "configmap", "a", "copy="});
  kubectl({"wait", "--for=create", "configmap/a-copy", "--timeout=30s"});
  kubectl({"wait", "--for=jsonpath={.data.color}=red", "configmap/a-copy", "--timeout=30s"});
  kubectl({"delete", "configmap", "a"});
  kubectl({"wait", "--for=delete", "configmap/a-copy", "--timeout=30s"});  // the garbage collector

  copier.Signal(SIGTERM);
  const e2e::Exit ended = copier.Wait(10s);
  EXPECT_EQ(ended.code, 0) << ended.err;
}

}  // namespace
}  // namespace backfill::cluster
