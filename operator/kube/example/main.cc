// Copies ConfigMaps with the label `copy`, in the pod's cluster or that of the kubeconfig.
#include "operator/kube/connection/cluster_connection.h"
#include "operator/kube/example/copier.h"
#include "operator/kube/runtime/operator.h"
#include "operator/kube/runtime/stop_signals.h"

using namespace backfill;
using namespace backfill::kube;

Status Run(const std::stop_token& stop) {
  const SystemClock clock;
  NoMetrics metrics;
  const ClusterAccess access = TRY(FindCluster(ProcessEnvironment()));
  const auto cluster =
      TRY(ClusterConnection::Make(access, {.user_agent = "copier"}, clock, metrics));
  Operator op(cluster->watches(), clock, metrics);
  FollowedKind& maps = op.Follow(example::kMaps);
  example::Copier copier(cluster->api(), maps.cache());
  op.Control(maps, copier).Owns(maps);
  return op.Run(stop);
}

int main() { return RunUntilStopped(Run); }
