// The operator on a cluster: where that is, and when it ends. What it does is wired up in
// app/cluster_operator.
#include <iostream>
#include <string>
#include <vector>

#include "base/log.h"
#include "operator/app/cluster_operator.h"
#include "operator/app/settings.h"
#include "operator/kube/connection/cluster_connection.h"
#include "operator/kube/runtime/operator.h"
#include "operator/kube/runtime/stop_signals.h"

namespace {

using namespace backfill;  // NOLINT: main() speaks of nothing else

constexpr int kExitBadUsage = 2;

Status Serve(const app::Settings& settings, const std::stop_token& stop) {
  const SystemClock clock;
  kube::PrometheusMetrics metrics;
  const kube::ClusterAccess access =
      TRY(settings.kubeconfig.empty() ? kube::FindCluster(kube::ProcessEnvironment())
                                      : kube::LoadKubeConfig({.files = {settings.kubeconfig}}));
  const auto cluster = TRY(kube::ClusterConnection::Make(
      access, {.user_agent = "backfill-operator/" BACKFILL_VERSION " (linux/" BACKFILL_ARCH ")"},
      clock, metrics));
  const auto ledgers = TRY(cluster->Another());
  const auto reviews = TRY(cluster->Another());
  const auto calls = TRY(cluster->Another());
  app::ClusterOperator op(settings,
                          {.lease = cluster->lease(),
                           .watches = cluster->watches(),
                           .ledgers = *ledgers,
                           .reviews = *reviews,
                           .calls = *calls},
                          clock, metrics, kube::OperatorOptions::ExitNow);
  Log(LogLevel::kInfo, "starting", {{"version", BACKFILL_VERSION}, {"server", access.server}});
  return op.Run(stop);
}

}  // namespace

int main(int argc, char** argv) {
  const auto invocation = app::ReadInvocation(std::vector<std::string>(argv + 1, argv + argc));
  if (!invocation.ok()) {
    std::cerr << "backfill-operator: " << invocation.error().message << "\n";
    return kExitBadUsage;
  }
  if (!invocation->run) {
    std::cout << invocation->text;
    return 0;
  }
  SetLogLevel(invocation->run->log_level);
  return kube::RunUntilStopped(
      [&](const std::stop_token& stop) { return Serve(*invocation->run, stop); });
}
