#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "operator/app/settings.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/probes/prometheus_metrics.h"

namespace backfill::app {

// To one API server, each with connections of its own, so that a renewal of the Lease never waits
// behind a list, nor a ledger behind the tokens of all workers (R34).
struct Connections {
  kube::HttpTransport& lease;
  kube::HttpTransport& watches;
  kube::HttpTransport& ledgers;
  kube::HttpTransport& reviews;
  kube::HttpTransport& calls;
};

// One replica of the operator: what main() runs.
//
//   watches -> caches -> queue -> BackfillController -> reconcile::Reconciler -> Jobs, status,
//                                                               |                events
//   Lease -> who may act, label of the leader             Coordinator <- TLS, tokens <- workers
//                                                               |
//                                                            ledgers
//
// All replicas watch, listen and answer probes; the leader reconciles, and is whom workers find.
class ClusterOperator {
 public:
  // Everything given must outlive it. `exit_now` ends the process without a further word; see
  // kube::Host.
  ClusterOperator(const Settings& settings, const Connections& connections, const Clock& clock,
                  kube::PrometheusMetrics& metrics,
                  std::function<void(const std::string& reason)> exit_now);
  ~ClusterOperator();
  ClusterOperator(const ClusterOperator&) = delete;
  ClusterOperator& operator=(const ClusterOperator&) = delete;

  // Until `stop`, once, on the thread that calls. The error of a part that did not start; kAborted:
  // the Lease was lost.
  Status Run(const std::stop_token& stop);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::app
