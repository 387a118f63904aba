#include "tests/e2e/cluster_machine.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <fstream>
#include <random>
#include <sstream>

#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::e2e {
namespace {

constexpr int kReplicas = 2;

// That is free now; an operator takes it later, and again after it was killed. So it is none that
// the kernel gives to whoever asks for any, as the tests beside this one do all the time.
int FreePort() {
  std::random_device random;
  std::uniform_int_distribution<int> below_those(20'000, 32'000);
  for (int tries = 0; tries < 100; ++tries) {
    const int port = below_those(random);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;  // NOLINT
    ::close(fd);
    if (free) return port;
  }
  std::abort();
}

// Status 0: nobody answered.
kube::HttpResponse Probe(int port, const std::string& path) {
  const SystemClock clock;
  const kube::ClusterAccess access{.server = fmt::format("http://127.0.0.1:{}", port)};
  const auto transport = kube::RestTransport::Make(kube::OptionsFor(access),
                                                   kube::MakeCredentials(access, clock), clock);
  if (!transport.ok()) return {};
  auto answer = (*transport)->Send({.target = path}, clock.Steady() + 5s, {});
  return answer.ok() ? std::move(answer).value() : kube::HttpResponse{};
}

}  // namespace

void ClusterMachine::SetUp() {
  auto shared = cluster::ControlPlane::Shared();
  if (!shared.ok()) GTEST_SKIP() << shared.error().message;
  plane_.emplace(std::move(shared).value());
  const auto access = kube::ReadAccess(plane_->kubeconfig());
  ASSERT_TRUE(access.ok()) << access.error().message;
  auto connected = kube::Connect(*access, "e2e", clock_);
  ASSERT_TRUE(connected.ok()) << connected.error().message;
  api_ = std::move(connected).value();
  for (const char* crd : {"backfills", "backfillledgers"})
    Kubectl({"apply", "--server-side", "-f",
             fmt::format("{}/backfill.dev_{}.yaml", BACKFILL_CRDS, crd)});
  Kubectl({"create", "namespace", ns_});
  Kubectl({"create", "secret", "generic", "backfill-operator-tls", "-n", ns_});
  Kubectl({"wait", "--for=create", "serviceaccount/default", "-n", ns_, "--timeout=30s"});
  TargetIs({});
}

void ClusterMachine::TearDown() {
  if (!plane_) return;
  if (HasFailure()) {
    for (const Replica& replica : operators_)
      if (replica.process)
        std::cerr << "---- operator\n" << replica.process->Err().substr(0, 20'000) << "\n";
    if (kubelet_)
      for (const auto& c : kubelet_->Running())
        std::cerr << "---- " << c.pod << "\n" << kubelet_->LogOf(c.pod).substr(0, 4'000) << "\n";
  }
  operators_.clear();
  kubelet_.reset();
}

std::unique_ptr<Process> ClusterMachine::RunOperator(const Replica& replica,
                                                     const std::vector<std::string>& more) {
  std::vector<std::string> args{std::string(BACKFILL_BIN_DIR) + "/backfill-operator",
                                "--namespace",
                                ns_,
                                "--watch-namespaces",
                                ns_,
                                "--kubeconfig",
                                plane_->kubeconfig().string(),
                                "--worker-image",
                                "localhost/backfill/worker:dev",
                                "--grpc-listen",
                                fmt::format("127.0.0.1:{}", replica.grpc_port),
                                "--probes-listen",
                                fmt::format(":{}", replica.probes_port),
                                "--status-period",
                                "1s"};
  args.insert(args.end(), more.begin(), more.end());
  Process::Options how{};
  how.dir = dir_.path();
  return std::make_unique<Process>(args, how);
}

std::size_t ClusterMachine::StartOperator(const std::vector<std::string>& more) {
  if (operators_.empty()) {
    for (int i = 0; i < kReplicas; ++i)
      operators_.push_back(
          {.grpc_port = FreePort(), .probes_port = FreePort(), .process = nullptr});
    auto started = cluster::ProcessKubelet::Start(
        {.kubeconfig = plane_->kubeconfig(),
         .ns = ns_,
         .dir = dir_.path() / "pods",
         .command = {std::string(BACKFILL_BIN_DIR) + "/backfill-worker"},
         .env = {{"BACKFILL_COORDINATOR",
                  fmt::format("ipv4:127.0.0.1:{},127.0.0.1:{}", operators_[0].grpc_port,
                              operators_[1].grpc_port)},
                 {"BACKFILL_SERVER_NAME", fmt::format("backfill-coordinator.{}.svc", ns_)}}});
    EXPECT_TRUE(started.ok()) << started.error().message;
    if (started.ok()) kubelet_ = std::move(started).value();
  }
  std::size_t at = 0;
  while (operators_.at(at).process) ++at;
  operators_[at].process = RunOperator(operators_[at], more);
  return at;
}

void ClusterMachine::RestartOperator(std::size_t replica) {
  Operator(replica).Signal(SIGKILL);
  Operator(replica).Wait(5s);
  operators_.at(replica).process = RunOperator(operators_.at(replica), {});
}

std::string ClusterMachine::NotReady(std::size_t replica) {
  const auto answer = Probe(operators_.at(replica).probes_port, "/readyz");
  return answer.status == 200 ? "" : fmt::format("{} {}", answer.status, answer.body);
}

std::optional<double> ClusterMachine::Metric(const std::string& line, std::size_t replica) {
  std::istringstream text(Probe(operators_.at(replica).probes_port, "/metrics").body);
  for (std::string at; std::getline(text, at);)
    if (at.starts_with(line)) return std::stod(at.substr(at.rfind(' ') + 1));
  return std::nullopt;
}

void ClusterMachine::TargetIs(const fakes::SinkOptions& options) {
  sink_.reset();
  sink_ = std::make_unique<fakes::Sink>(options);
  sink_->Start();
}

void ClusterMachine::Apply(const Spec& spec) {
  WriteFile(dir_.path() / "backfill.yaml", ToYaml(spec, sink_->port()));
  Kubectl({"apply", "-n", ns_, "-f", (dir_.path() / "backfill.yaml").string()});
}

void ClusterMachine::Patch(const std::string& merge_patch, const std::string& name) {
  Kubectl({"patch", "backfill", name, "-n", ns_, "--type=merge", "-p", merge_patch});
}

nlohmann::json ClusterMachine::Get(const std::string& name) {
  const auto said = api_->Send(
      {.target = fmt::format("/apis/backfill.dev/v1alpha1/namespaces/{}/backfills/{}", ns_, name)},
      clock_.Steady() + 10s, {});
  const bool found = said.ok() && said->status == 200;
  return found ? nlohmann::json::parse(said->body, nullptr, false) : nlohmann::json();
}

std::string ClusterMachine::Condition(const std::string& type, const std::string& name) {
  const nlohmann::json object = Get(name);
  if (!object.is_object()) return "-";
  for (const auto& c : object.value("status", nlohmann::json::object())
                           .value("conditions", nlohmann::json::array()))
    if (c.value("type", "") == type) return c.value("status", "") + "/" + c.value("reason", "");
  return "-";
}

std::string ClusterMachine::Phase(const std::string& name) {
  const nlohmann::json object = Get(name);
  return object.is_object() ? object.value("status", nlohmann::json::object()).value("phase", "-")
                            : "-";
}

bool ClusterMachine::Eventually(const std::function<bool()>& holds, Duration at_most) {
  return TimeUntil(at_most, holds, 250ms).has_value();
}

bool ClusterMachine::Becomes(const std::string& type, const std::string& status_and_reason,
                             Duration at_most, const std::string& name) {
  const bool became =
      Eventually([&] { return Condition(type, name) == status_and_reason; }, at_most);
  if (!became)
    ADD_FAILURE() << type << " never became " << status_and_reason << ": "
                  << Get(name).value("status", nlohmann::json()).dump(1);
  return became;
}

bool ClusterMachine::TargetSees(std::uint64_t requests, Duration at_most) {
  return TimeUntil(at_most, [&] { return sink_->stats().requests >= requests; }).has_value();
}

bool ClusterMachine::TargetComesToRest(Duration at_most) {
  return TimeUntil(at_most, [&] { return !TargetSees(sink_->stats().requests + 1, 1s); })
      .has_value();
}

bool ClusterMachine::NoWorkerIsLeft(Duration at_most) {
  return TimeUntil(at_most, [&] { return kubelet_->Running().empty(); }).has_value();
}

std::vector<std::string> ClusterMachine::EventReasons() {
  std::istringstream text(
      Kubectl({"get", "events.events.k8s.io", "-n", ns_, "-o",
               R"(jsonpath={range .items[?(@.regarding.kind=="Backfill")]}{.reason}{"\n"}{end})"}));
  std::vector<std::string> reasons;
  for (std::string reason; std::getline(text, reason);) reasons.push_back(reason);
  return reasons;
}

std::string ClusterMachine::Kubectl(std::vector<std::string> args) {
  const auto said = plane_->Kubectl(args);
  EXPECT_TRUE(said.ok()) << said.error().message;
  return said.ok() ? *said : "";
}

std::string ClusterMachine::Refused(std::vector<std::string> args) {
  const auto said = plane_->Kubectl(args);
  return said.ok() ? "" : said.error().message;
}

}  // namespace backfill::e2e
