#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cli/cluster.h"
#include "cli/place.h"

namespace backfill::cli {

// The API server that kubectl would take: --kubeconfig, else KUBECONFIG, else ~/.kube/config; in a
// pod without any of these that of its service account. Starts the threads of the HTTP library, so
// nothing of it is there before a cluster is asked for. `clock` must outlive the connection.
//
// Errors as Environment::connect; they name what there is to choose from.
Result<Connection> ConnectCluster(const ClusterChoice& choice, const Clock& clock);

}  // namespace backfill::cli
