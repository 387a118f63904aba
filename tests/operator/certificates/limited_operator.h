#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/kube/client/api_client.h"
#include "operator/kube/client/rest_transport.h"
#include "tests/cluster/control_plane.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::certificates {

// An operator's namespace and one with workers on the API server of the tests, and a service
// account with the rights that the chart gives, and no other. Used by one
// thread; each verb fails the test if it does not succeed.
class LimitedOperator {
 public:
  // `secret_verbs`: those of the one Secret.
  explicit LimitedOperator(const cluster::ControlPlane& plane,
                           const std::string& secret_verbs = "get, watch, update");
  LimitedOperator(const LimitedOperator&) = delete;
  LimitedOperator& operator=(const LimitedOperator&) = delete;

  [[nodiscard]] const std::string& ns() const { return ns_; }
  [[nodiscard]] const std::string& workers() const { return workers_; }
  [[nodiscard]] const std::string& agent() const { return agent_; }

  // A connection of the service account.
  std::unique_ptr<kube::RestTransport> Connect();
  // With all rights.
  std::string Kubectl(const std::vector<std::string>& args);
  void Apply(const std::string& manifests);
  // "get secrets 200", of the service account, without repetitions.
  std::vector<std::string> WhatItDid();

 private:
  const cluster::ControlPlane& plane_;
  const SystemClock clock_;
  const std::string ns_, workers_, agent_;
  std::string token_;
};

}  // namespace backfill::certificates
