// A candidate as a process, to be stopped and killed:
//   kube_elector KUBECONFIG NAMESPACE CONFIGMAP LEASE_S RENEW_MS RETRY_MS PORT
// PORT is that of the API server, or of a proxy before it.
//
// While it leads it writes into the ConfigMap as fast as a coordinator would: data.log has a line
// for each leader, "EPOCH IDENTITY FIRST LAST", with the numbers of its writes, which go on from
// those of the one before. What it writes is guarded by resourceVersion, and by the age of the
// Lease right before it is sent (R38), but not by the epochs that stand there: whoever writes while
// he should not is seen.
//
// Says on standard output "follows", "leads EPOCH", "lost", "released". Ends with 1 when it has
// lost the Lease, with 0 after SIGTERM.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/client/rest_transport.h"
#include "operator/kube/runtime/leader_election.h"
#include "operator/kube/runtime/lease_api.h"
#include "operator/kube/runtime/metrics.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPace = 3ms;

void Say(const std::string& what) {
  std::printf("%s\n", what.c_str());
  std::fflush(stdout);
}

class Events final : public LeaderEvents {
 public:
  void OnLeading(Epoch epoch) override { Say("leads " + std::to_string(epoch.value)); }
  void OnLost(const std::string&) override {
    Say("lost");
    std::_Exit(1);  // R38
  }
};

// What was written so far, by whomever.
struct Written {
  std::string version;
  std::string log;  // up to the last line
  std::uint64_t epoch = 0;
  std::string identity;
  std::int64_t first = 0, last = 0;  // of the last line

  [[nodiscard]] std::string LastLine() const {
    if (identity.empty()) return "";
    return std::to_string(epoch) + " " + identity + " " + std::to_string(first) + " " +
           std::to_string(last) + "\n";
  }
};

class Writer {
 public:
  Writer(HttpTransport& transport, const Clock& clock, std::string ns, std::string name,
         std::string identity)
      : transport_(transport),
        clock_(clock),
        ns_(std::move(ns)),
        name_(std::move(name)),
        identity_(std::move(identity)) {}

  // One write, if it may be and can be.
  void Write(const LeaderElection& election) {
    const std::optional<Epoch> epoch = election.epoch();
    if (!epoch) return;
    if (!known_) known_ = Read();
    if (!known_) return;
    Written next = *known_;
    if (next.epoch == epoch->value && next.identity == identity_) {
      ++next.last;
    } else {
      next.log += next.LastLine();
      next.epoch = epoch->value;
      next.identity = identity_;
      next.first = ++next.last;
    }
    HttpRequest request{
        .method = HttpMethod::kPut,
        .target = PathOf(kConfigMaps, ns_, name_),
        .content_type = "application/json",
        .body = nlohmann::json{{"metadata", {{"name", name_}, {"resourceVersion", next.version}}},
                               {"data", {{"log", next.log + next.LastLine()}}}}
                    .dump()};
    if (!election.IsLeaderAt(clock_.Steady())) return;
    const Result<HttpResponse> response = transport_.Send(request, clock_.Steady() + 2s, {});
    known_.reset();  // unless this says what there is now
    if (response.ok() && response->status == 200) known_ = Parse(response->body);
  }

 private:
  std::optional<Written> Read() {
    const auto response =
        transport_.Send({.target = PathOf(kConfigMaps, ns_, name_)}, clock_.Steady() + 2s, {});
    if (!response.ok() || response->status != 200) return std::nullopt;
    return Parse(response->body);
  }
  static std::optional<Written> Parse(const std::string& body) {
    const nlohmann::json object = nlohmann::json::parse(body, nullptr, false);
    if (!object.is_object()) return std::nullopt;
    Written written;
    written.version = object.at("metadata").at("resourceVersion").get<std::string>();
    std::istringstream lines(object.value("data", nlohmann::json::object()).value("log", ""));
    for (std::string line; std::getline(lines, line);) {
      written.log += written.LastLine();
      std::istringstream fields(line);
      fields >> written.epoch >> written.identity >> written.first >> written.last;
    }
    return written;
  }

  HttpTransport& transport_;
  const Clock& clock_;
  const std::string ns_, name_, identity_;
  std::optional<Written> known_;
};

int Run(const std::vector<std::string>& args) {
  // Before there are threads: one that does not block it would end the process.
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  StartHttpThreads(4);

  const SystemClock clock;
  const auto access = ReadAccess(args[0]);
  if (!access.ok()) return 2;
  const auto port = static_cast<std::uint16_t>(std::atoi(args[6].c_str()));
  const auto for_lease = Connect(*access, "elector-lease", clock, port);  // R34
  const auto for_writes = Connect(*access, "elector-writes", clock, port);
  if (!for_lease.ok() || !for_writes.ok()) return 2;

  ElectionOptions options;
  options.identity = NewIdentity("elector");
  options.lease = std::chrono::seconds(std::atoi(args[3].c_str()));
  options.renew_deadline = std::chrono::milliseconds(std::atoi(args[4].c_str()));
  options.retry = std::chrono::milliseconds(std::atoi(args[5].c_str()));
  HttpLeaseApi lease(**for_lease, args[1], args[2]);
  Events events;
  NoMetrics metrics;
  LeaderElection election(options, args[2], lease, clock, events, metrics);
  Writer writer(**for_writes, clock, args[1], args[2], options.identity);
  election.Start();
  const timespec pace{.tv_sec = 0, .tv_nsec = kPace.count()};
  bool follows = false;
  while (sigtimedwait(&term, nullptr, &pace) != SIGTERM) {
    if (const std::string holder = election.holder();
        !follows && !holder.empty() && holder != options.identity) {
      follows = true;
      Say("follows");
    }
    writer.Write(election);
  }
  election.Stop();
  Say("released");
  return 0;
}

}  // namespace
}  // namespace backfill::kube

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  return backfill::kube::Run({argv + 1, argv + argc});
}
