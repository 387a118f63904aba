#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/cluster/process_kubelet.h"
#include "tests/e2e/machine.h"
#include "tests/e2e/process.h"

namespace backfill::e2e {

// The operator and its workers as real processes on a real API server with a real Job controller;
// what is missing is a node, in whose place pods run as processes (tests/cluster/process_kubelet).
// Every test has a namespace of its own, where also its operator is at home.
class ClusterMachine : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A replica of the operator; `more` are further flags. Workers know of two.
  std::size_t StartOperator(const std::vector<std::string>& more = {});
  // kill -9, and another process in its place.
  void RestartOperator(std::size_t replica = 0);
  Process& Operator(std::size_t replica = 0) { return *operators_.at(replica).process; }
  // "" or what /readyz says.
  std::string NotReady(std::size_t replica = 0);
  // /metrics of a replica: the value of a line that begins so, nothing if there is none.
  std::optional<double> Metric(const std::string& line, std::size_t replica = 0);

  void TargetIs(const fakes::SinkOptions& options);
  void Apply(const Spec& spec);
  void Patch(const std::string& merge_patch, const std::string& name = "touch");
  nlohmann::json Get(const std::string& name = "touch");
  // "True/Running", "-" if there is none.
  std::string Condition(const std::string& type, const std::string& name = "touch");
  std::string Phase(const std::string& name = "touch");
  // Looks ten times a second.
  static bool Eventually(const std::function<bool()>& holds, Duration at_most = 60s);
  // Waits; false after that time, with what the operator and the status say in the failure.
  bool Becomes(const std::string& type, const std::string& status_and_reason,
               Duration at_most = 60s, const std::string& name = "touch");
  bool TargetSees(std::uint64_t requests, Duration at_most = 60s);
  // What was under way has come: a second passes without a request.
  bool TargetComesToRest(Duration at_most = 30s);
  // The kubelet has seen that their pods are gone.
  bool NoWorkerIsLeft(Duration at_most = 5s);
  [[nodiscard]] std::vector<std::string> EventReasons();

  std::string Kubectl(std::vector<std::string> args);
  // Its error, not a failure of the test.
  std::string Refused(std::vector<std::string> args);

  struct Replica {
    int grpc_port = 0;
    int probes_port = 0;
    std::unique_ptr<Process> process;
  };
  const std::string ns_ = cluster::UniqueName("e2e");
  const cli::TempDir dir_;
  SystemClock clock_;
  std::optional<cluster::ControlPlane> plane_;
  // For what is asked over and over: to start kubectl each time takes a whole core.
  std::unique_ptr<kube::RestTransport> api_;
  std::unique_ptr<fakes::Sink> sink_;
  std::unique_ptr<Process> RunOperator(const Replica& replica,
                                       const std::vector<std::string>& more);
  std::vector<Replica> operators_;
  std::unique_ptr<cluster::ProcessKubelet> kubelet_;
};

}  // namespace backfill::e2e
