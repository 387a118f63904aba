#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/client/http_transport.h"
#include "operator/kube/client/kube_config.h"
#include "operator/kube/client/rate_limiter.h"
#include "operator/kube/runtime/metrics.h"

namespace backfill::kube {

struct ConnectionOptions {
  std::string user_agent;                        // R35: backfill-operator/<version> (<os>/<arch>)
  RateLimits limits = {};                        // of api(); watches and the Lease have none (R34)
  ApiClientOptions api = {.field_manager = {}};  // absent: the user agent, up to its version
};

// An API server with what an operator asks it for, each over connections of its own, so that none
// queues behind another (R34), with the same credentials. Requests are counted.
//
// Make() gives the HTTP library of the process its threads (StartHttpThreads), so nothing of it may
// have been used before. It does not connect yet: who is not let in learns so from the first call.
//
// Thread-safe. Clock and metrics must outlive it.
class ClusterConnection {
 public:
  // kInvalid: what the access or an option says makes no sense.
  static Result<std::unique_ptr<ClusterConnection>> Make(const ClusterAccess& access,
                                                         ConnectionOptions options,
                                                         const Clock& clock,
                                                         MetricRegistry& metrics);
  ~ClusterConnection();
  ClusterConnection(const ClusterConnection&) = delete;
  ClusterConnection& operator=(const ClusterConnection&) = delete;

  // What reconcilers ask for, at a bounded rate.
  [[nodiscard]] const ApiClient& api() const;
  [[nodiscard]] HttpTransport& watches() const;
  // For the Lease and nothing else.
  [[nodiscard]] HttpTransport& lease() const;
  // One more: for what must neither wait for the others nor hold them back. Outlives this.
  [[nodiscard]] Result<std::unique_ptr<HttpTransport>> Another() const;

  // That of our pod, or of the kubeconfig's context; may be empty.
  [[nodiscard]] const std::string& ns() const;

 private:
  struct State;
  explicit ClusterConnection(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace backfill::kube
