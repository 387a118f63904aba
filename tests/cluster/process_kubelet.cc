#include "tests/cluster/process_kubelet.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/e2e/process.h"

namespace backfill::cluster {
namespace {

using namespace std::chrono_literals;
using kube::HttpMethod;
using nlohmann::json;

constexpr Duration kLook = 250ms;

struct Pod {
  std::string name;
  std::filesystem::path dir;
  std::unique_ptr<e2e::Process> process;
  bool asked_to_end = false;
  Time kill_at{};
  std::optional<e2e::Exit> ended;
  bool reported = false;
};

json ContainerStatuses(const json& pod, const json& state) {
  json all = json::array();
  for (const json& c : pod.at("spec").at("containers")) {
    all.push_back({{"name", c.at("name")},
                   {"image", c.value("image", "")},
                   {"imageID", ""},
                   {"ready", state.contains("running")},
                   {"restartCount", 0},
                   {"state", state}});
  }
  return all;
}

// The value of a field that a pod may be asked for.
std::string FieldOf(const json& pod, const std::string& path) {
  const json& meta = pod.at("metadata");
  if (path == "metadata.name" || path == "metadata.namespace" || path == "metadata.uid")
    return meta.at(path.substr(sizeof("metadata.") - 1)).get<std::string>();
  for (const char* map : {"annotations", "labels"}) {
    const std::string prefix = fmt::format("metadata.{}['", map);
    if (!path.starts_with(prefix) || !path.ends_with("']")) continue;
    const std::string key = path.substr(prefix.size(), path.size() - prefix.size() - 2);
    return meta.value(map, json::object()).value(key, "");
  }
  return "";
}

}  // namespace

struct ProcessKubelet::Impl {
  Options options;
  SystemClock clock;
  std::unique_ptr<kube::RestTransport> api;
  std::atomic<bool> cut_off = false;
  std::atomic<int> started = 0;
  mutable Mutex mu;
  std::map<std::string, Pod> pods GUARDED_BY(mu);  // by uid; changed by the thread alone
  std::jthread thread;

  std::string Path(const std::string& resource, const std::string& name = "",
                   const std::string& sub = "") const {
    return fmt::format("/api/v1/namespaces/{}/{}{}{}", options.ns, resource,
                       name.empty() ? "" : "/" + name, sub.empty() ? "" : "/" + sub);
  }
  std::optional<json> Call(HttpMethod method, const std::string& target, const json& body = nullptr,
                           const char* type = "application/json") {
    kube::HttpRequest request{.method = method, .target = target};
    if (!body.is_null()) {
      request.body = body.dump();
      request.content_type = type;
    }
    request.max_response_bytes = std::size_t{64} << 20;
    const auto answer = api->Send(request, clock.Steady() + 5s, {});
    if (!answer.ok() || answer->status / 100 != 2) return std::nullopt;
    return json::parse(answer->body, nullptr, false);
  }

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (!cut_off)
        if (const auto list = Call(HttpMethod::kGet, Path("pods"))) Look(*list);
      std::this_thread::sleep_for(kLook);
    }
  }

  void Look(const json& list) {
    MutexLock l(mu);
    std::map<std::string, const json*> seen;
    for (const json& pod : list.at("items"))
      seen[pod.at("metadata").at("uid").get<std::string>()] = &pod;
    for (auto it = pods.begin(); it != pods.end();) {
      const bool gone = !seen.contains(it->first);
      it = gone ? pods.erase(it) : std::next(it);  // kills what still runs
    }
    for (const auto& [uid, pod] : seen) Sync(uid, *pod);
  }

  void Sync(const std::string& uid, const json& pod) REQUIRES(mu) {
    const bool deleted = pod.at("metadata").contains("deletionTimestamp");
    const std::string phase = pod.value("status", json::object()).value("phase", "Pending");
    auto it = pods.find(uid);
    if (it == pods.end() && phase == "Pending" && !deleted) {
      StartPod(uid, pod);
      return;
    }
    if (it == pods.end()) {  // never started here, or of a kubelet before this one
      if (deleted) Remove(pod);
      return;
    }
    Pod& mine = it->second;
    if (!mine.ended && !mine.process->running()) mine.ended = mine.process->Wait(1s);
    if (!mine.ended && deleted && !std::exchange(mine.asked_to_end, true)) {
      mine.process->Signal(SIGTERM);
      mine.kill_at = clock.Steady() +
                     std::chrono::seconds(
                         pod.at("metadata").value("deletionGracePeriodSeconds", std::int64_t{30}));
    }
    if (!mine.ended && deleted && clock.Steady() >= mine.kill_at) mine.process->Signal(SIGKILL);
    if (mine.ended && !mine.reported) mine.reported = ReportEnd(pod, *mine.ended);
    if (mine.reported && deleted) Remove(pod);
  }

  void StartPod(const std::string& uid, const json& pod) REQUIRES(mu) {
    Pod mine;
    mine.name = pod.at("metadata").at("name").get<std::string>();
    mine.dir = options.dir / mine.name;
    std::filesystem::create_directories(mine.dir);
    std::map<std::string, std::string> moved;  // from a mount's path to where its files are
    if (!Mount(pod, mine.dir, moved)) return;  // as a kubelet: tried again
    const json& container = pod.at("spec").at("containers").at(0);
    e2e::Process::Options how{};
    how.dir = mine.dir;
    for (const json& v : container.value("env", json::array())) {
      std::string value = v.value("value", "");
      if (v.contains("valueFrom") && v.at("valueFrom").contains("fieldRef"))
        value = FieldOf(pod, v.at("valueFrom").at("fieldRef").value("fieldPath", ""));
      for (const auto& [path, files] : moved)
        if (value.starts_with(path)) value = files + value.substr(path.size());
      how.env[v.at("name").get<std::string>()] = value;
    }
    for (const auto& [name, value] : options.env) how.env[name] = value;
    mine.process = std::make_unique<e2e::Process>(options.command, how);
    ++started;
    pods.emplace(uid, std::move(mine));
    Patch(pod,
          {{"phase", "Running"},
           {"startTime", FormatWallTime(clock.Wall())},
           {"containerStatuses",
            ContainerStatuses(pod, {{"running", {{"startedAt", FormatWallTime(clock.Wall())}}}})}});
  }

  // Tokens and ConfigMaps of projected volumes.
  bool Mount(const json& pod, const std::filesystem::path& dir,
             std::map<std::string, std::string>& moved) {
    const json& spec = pod.at("spec");
    for (const json& mount : spec.at("containers").at(0).value("volumeMounts", json::array())) {
      const std::string name = mount.value("name", "");
      for (const json& volume : spec.value("volumes", json::array())) {
        if (volume.value("name", "") != name || !volume.contains("projected")) continue;
        const std::filesystem::path files = dir / name;
        std::filesystem::create_directories(files);
        moved[mount.value("mountPath", "")] = files.string();
        for (const json& source : volume.at("projected").value("sources", json::array()))
          if (!Project(pod, source, files)) return false;
      }
    }
    return true;
  }

  bool Project(const json& pod, const json& source, const std::filesystem::path& files) {
    if (source.contains("serviceAccountToken")) {
      const json& wanted = source.at("serviceAccountToken");
      const json request{{"apiVersion", "authentication.k8s.io/v1"},
                         {"kind", "TokenRequest"},
                         {"spec",
                          {{"audiences", {wanted.value("audience", "")}},
                           {"expirationSeconds", wanted.value("expirationSeconds", 3600)},
                           {"boundObjectRef",
                            {{"kind", "Pod"},
                             {"apiVersion", "v1"},
                             {"name", pod.at("metadata").at("name")},
                             {"uid", pod.at("metadata").at("uid")}}}}}};
      const std::string account = pod.at("spec").value("serviceAccountName", "default");
      const auto issued =
          Call(HttpMethod::kPost, Path("serviceaccounts", account, "token"), request);
      if (!issued) return false;
      e2e::WriteFile(files / wanted.value("path", "token"),
                     issued->at("status").at("token").get<std::string>());
      return true;
    }
    if (!source.contains("configMap")) return true;
    const json& wanted = source.at("configMap");
    const auto map = Call(HttpMethod::kGet, Path("configmaps", wanted.value("name", "")));
    if (!map) return false;
    for (const json& item : wanted.value("items", json::array()))
      e2e::WriteFile(files / item.value("path", ""),
                     map->value("data", json::object()).value(item.value("key", ""), ""));
    return true;
  }

  bool ReportEnd(const json& pod, const e2e::Exit& exit) {
    const int code = exit.signal != 0 ? 128 + exit.signal : exit.code;
    const json terminated{{"exitCode", code},
                          {"reason", code == 0 ? "Completed" : "Error"},
                          {"finishedAt", FormatWallTime(clock.Wall())}};
    return Patch(pod,
                 {{"phase", code == 0 ? "Succeeded" : "Failed"},
                  {"containerStatuses", ContainerStatuses(pod, {{"terminated", terminated}})}});
  }
  bool Patch(const json& pod, const json& status) {
    return Call(HttpMethod::kPatch,
                Path("pods", pod.at("metadata").at("name").get<std::string>(), "status"),
                {{"status", status}}, "application/merge-patch+json")
        .has_value();
  }
  void Remove(const json& pod) {
    Call(HttpMethod::kDelete, Path("pods", pod.at("metadata").at("name").get<std::string>()),
         {{"apiVersion", "v1"},
          {"kind", "DeleteOptions"},
          {"gracePeriodSeconds", 0},
          {"preconditions", {{"uid", pod.at("metadata").at("uid")}}}});
  }
};

Result<std::unique_ptr<ProcessKubelet>> ProcessKubelet::Start(const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  const kube::ClusterAccess access =
      TRY(kube::LoadKubeConfig({.files = {options.kubeconfig.string()}}));
  impl->api =
      TRY(kube::RestTransport::Make(kube::OptionsFor(access, {.user_agent = "kubelet"}),
                                    kube::MakeCredentials(access, impl->clock), impl->clock));
  if (!impl->Call(HttpMethod::kGet, impl->Path("pods")))
    return Error{ErrorCode::kUnavailable, "pods of " + options.ns + " cannot be listed"};
  impl->thread = std::jthread([i = impl.get()](const std::stop_token& stop) { i->Run(stop); });
  return std::unique_ptr<ProcessKubelet>(new ProcessKubelet(std::move(impl)));
}

ProcessKubelet::ProcessKubelet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ProcessKubelet::~ProcessKubelet() {
  impl_->thread.request_stop();
  impl_->thread.join();
}

std::vector<ProcessKubelet::Container> ProcessKubelet::Running() const {
  MutexLock l(impl_->mu);
  std::vector<Container> running;
  for (const auto& [uid, pod] : impl_->pods)
    if (!pod.ended) running.push_back({.pod = pod.name, .uid = uid, .pid = pod.process->pid()});
  std::ranges::sort(running, {}, &Container::pod);
  return running;
}

int ProcessKubelet::started() const { return impl_->started; }

std::string ProcessKubelet::LogOf(const std::string& pod) const {
  MutexLock l(impl_->mu);
  for (const auto& [uid, mine] : impl_->pods)
    if (mine.name == pod) return mine.process->Err();
  return "";
}

void ProcessKubelet::CutOff() { impl_->cut_off = true; }
void ProcessKubelet::ComeBack() { impl_->cut_off = false; }

}  // namespace backfill::cluster
