#include "tests/cluster/control_plane.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <utility>

#include "tests/cli/temp_dir.h"
#include "tests/e2e/process.h"

namespace backfill::cluster {
namespace {

using e2e::Process;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::string_view kTool = BACKFILL_CONTROL_PLANE;
constexpr std::string_view kServer = "server: https://127.0.0.1:";

std::string_view NameOf(Component component) {
  switch (component) {
    case Component::kEtcd:
      return "etcd";
    case Component::kApiServer:
      return "kube-apiserver";
    case Component::kControllerManager:
      return "kube-controller-manager";
  }
  std::abort();
}

Result<std::string> Run(const std::vector<std::string>& args,
                        std::map<std::string, std::string> env, Duration at_most) {
  const cli::TempDir dir;  // of its own, as others use the control plane, too
  Process process(args, {.dir = dir.path(), .env = std::move(env), .max_files = {}});
  const e2e::Exit exit = process.Wait(at_most);
  if (exit.code == 0) return exit.out;
  std::string doing;
  for (const std::string& arg : args) doing += (doing.empty() ? "" : " ") + arg;
  const std::string how =
      exit.signal != 0
          ? " was killed (signal " + std::to_string(exit.signal) +
                "), if by this test as it took longer than " +
                std::to_string(std::chrono::duration_cast<std::chrono::seconds>(at_most).count()) +
                " s"
          : " ended with " + std::to_string(exit.code);
  return Error{ErrorCode::kInternal, doing + how + ": " + exit.err + exit.out};
}

std::string Text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

AuditLine Decode(const nlohmann::json& event) {
  AuditLine line{.stage = Text(event, "stage"),
                 .verb = Text(event, "verb"),
                 .user_agent = Text(event, "userAgent"),
                 .user = {},
                 .resource = {},
                 .subresource = {},
                 .space = {},
                 .name = {},
                 .uri = Text(event, "requestURI")};
  if (const auto user = event.find("user"); user != event.end())
    line.user = Text(*user, "username");
  if (const auto object = event.find("objectRef"); object != event.end()) {
    line.resource = Text(*object, "resource");
    line.subresource = Text(*object, "subresource");
    line.space = Text(*object, "namespace");
    line.name = Text(*object, "name");
  }
  if (const auto status = event.find("responseStatus"); status != event.end()) {
    line.code = status->value("code", 0);
  }
  return line;
}

}  // namespace

std::string UniqueName(std::string_view begin) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::string(begin) + "-" + std::to_string(getpid()) + "-" + std::to_string(now / 1us);
}

ControlPlane::ControlPlane(fs::path state)
    : state_(std::move(state)), kubeconfig_(state_ / "kubeconfig") {}

std::optional<std::string> ControlPlane::WhyNone() {
  if (access(std::string(kTool).c_str(), X_OK) == 0) return std::nullopt;
  return std::string(kTool) + " is not there: make cluster-tool";
}

Result<ControlPlane> ControlPlane::Shared() {
  if (std::optional<std::string> why = WhyNone()) return Error{ErrorCode::kNotFound, *why};
  const char* kubeconfig = std::getenv("BACKFILL_TEST_KUBECONFIG");
  if (kubeconfig == nullptr) {
    return Error{ErrorCode::kNotFound, "BACKFILL_TEST_KUBECONFIG is not set: ctest sets it"};
  }
  const fs::path state = fs::path(kubeconfig).parent_path();
  if (fs::exists(kubeconfig)) return ControlPlane(state);
  const std::string why = e2e::ReadFile(state.string() + ".absent");
  return Error{ErrorCode::kNotFound, why.empty() ? "there is no " + std::string(kubeconfig) : why};
}

Result<std::string> ControlPlane::Tool(std::string_view command,
                                       const std::vector<std::string>& args,
                                       Duration at_most) const {
  std::vector<std::string> all{std::string(kTool), std::string(command), "--state", state_};
  all.insert(all.end(), args.begin(), args.end());
  return Run(all, {}, at_most);
}

std::uint16_t ControlPlane::port() const {
  const std::string config = e2e::ReadFile(kubeconfig_);
  const std::size_t at = config.find(kServer);
  if (at == std::string::npos) return 0;
  return static_cast<std::uint16_t>(std::atoi(config.c_str() + at + kServer.size()));
}

fs::path ControlPlane::KubeconfigThrough(std::uint16_t port, const fs::path& dir) const {
  std::string config = e2e::ReadFile(kubeconfig_);
  if (const std::size_t at = config.find(kServer); at != std::string::npos) {
    const std::size_t from = at + kServer.size();
    config.replace(from, config.find('\n', from) - from, std::to_string(port));
  }
  const fs::path path = dir / ("kubeconfig-" + std::to_string(port));
  e2e::WriteFile(path, config);
  return path;
}

Result<std::string> ControlPlane::Kubectl(const std::vector<std::string>& args) const {
  return KubectlWith(kubeconfig_, args);
}

Result<std::string> ControlPlane::KubectlWith(const fs::path& kubeconfig,
                                              const std::vector<std::string>& args) const {
  std::vector<std::string> all{fs::path(kTool).parent_path() / "kubectl", "--request-timeout=30s"};
  all.insert(all.end(), args.begin(), args.end());
  return Run(all, {{"KUBECONFIG", kubeconfig}, {"HOME", state_}}, 60s);
}

Result<std::string> ControlPlane::Apply(std::string_view manifests) const {
  const cli::TempDir dir;
  e2e::WriteFile(dir / "manifests.yaml", std::string(manifests));
  return Kubectl({"apply", "-f", dir / "manifests.yaml"});
}

Result<std::vector<AuditLine>> ControlPlane::Requests(std::string_view user_agent) const {
  const fs::path path = state_ / "log" / "audit.log";
  std::ifstream in(path);
  if (!in) return Error{ErrorCode::kNotFound, "cannot read " + path.string()};
  // Most lines are of the components themselves: parse only those that can be of interest.
  const std::string wanted = "\"userAgent\":" + nlohmann::json(std::string(user_agent)).dump();
  const std::string_view begin = std::string_view(wanted).substr(0, wanted.size() - 1);
  std::vector<AuditLine> lines;
  std::string text;
  while (std::getline(in, text)) {
    if (in.eof()) break;  // without its end it is still being written
    if (text.find(begin) == std::string::npos) continue;
    const nlohmann::json event = nlohmann::json::parse(text, nullptr, false);
    if (!event.is_object()) {
      return Error{ErrorCode::kInternal, path.string() + " has a line that is no JSON: " + text};
    }
    AuditLine line = Decode(event);
    if (line.user_agent.starts_with(user_agent)) lines.push_back(std::move(line));
  }
  return lines;
}

Result<OwnControlPlane> OwnControlPlane::Start(const fs::path& dir) {
  if (std::optional<std::string> why = WhyNone()) return Error{ErrorCode::kNotFound, *why};
  std::error_code error;
  const fs::path absolute = fs::absolute(dir, error);
  if (error) return Error{ErrorCode::kInternal, dir.string() + ": " + error.message()};
  OwnControlPlane started(absolute);
  TRY(started.Tool("up", {"--control-plane-only", "--owner", std::to_string(getpid())}, 120s)
          .Annotate("starting a control plane"));
  return started;
}

OwnControlPlane::OwnControlPlane(OwnControlPlane&& other) noexcept
    : ControlPlane(std::exchange(other.state_, fs::path())) {}

OwnControlPlane::~OwnControlPlane() {
  if (state_.empty()) return;   // moved from
  (void)Tool("down", {}, 30s);  // what it could not end ends with this process
}

Status OwnControlPlane::Stop(Component component) const {
  TRY(Tool("stop", {std::string(NameOf(component))}, 30s));
  return Ok{};
}

Status OwnControlPlane::Freeze(Component component) const {
  TRY(Tool("freeze", {std::string(NameOf(component))}, 30s));
  return Ok{};
}

Status OwnControlPlane::StartAgain(Component component) const {
  TRY(Tool("start", {"--timeout", "60s", std::string(NameOf(component))}, 90s));
  return Ok{};
}

Status OwnControlPlane::Compact() const {
  TRY(Tool("compact", {}, 60s));
  return Ok{};
}

Status OwnControlPlane::ExpireVersions() const {
  TRY(Compact());
  TRY(Stop(Component::kApiServer));
  return StartAgain(Component::kApiServer);
}

Result<std::vector<int>> OwnControlPlane::Pids() const {
  std::istringstream lines(TRY(Tool("status", {}, 30s)));
  std::vector<int> pids;
  for (std::string line; std::getline(lines, line);) {
    // Other lines begin with words or, that of the total, with a blank.
    if (!line.empty() && line[0] >= '0' && line[0] <= '9') pids.push_back(std::atoi(line.c_str()));
  }
  return pids;
}

Result<int> OwnControlPlane::SupervisorPid() const {
  const std::vector<int> pids = TRY(Pids());
  if (pids.empty()) return Error{ErrorCode::kInternal, "no process is said to run"};
  return pids.front();
}

}  // namespace backfill::cluster
