#include "tests/operator/certificates/limited_operator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace backfill::certificates {

LimitedOperator::LimitedOperator(const cluster::ControlPlane& plane,
                                 const std::string& secret_verbs)
    : plane_(plane),
      ns_(cluster::UniqueName("operator")),
      workers_(ns_ + "-workers"),
      agent_("limited-" + ns_) {
  Apply(fmt::format(R"(
{{apiVersion: v1, kind: Namespace, metadata: {{name: {0}}}}}
---
{{apiVersion: v1, kind: Namespace, metadata: {{name: {1}}}}}
---
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: backfill-operator, namespace: {0}}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: backfill-operator-tls, namespace: {0}, labels: {{app.kubernetes.io/managed-by: Helm}}}}
type: Opaque
---
{{apiVersion: v1, kind: Secret, metadata: {{name: another, namespace: {0}}}, stringData: {{a: b}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: backfill-operator, namespace: {0}}}
rules:
- {{apiGroups: [""], resources: [pods], verbs: [get, list, patch]}}
- {{apiGroups: [""], resources: [secrets], resourceNames: [backfill-operator-tls], verbs: [{2}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: backfill-operator, namespace: {1}}}
rules:
- {{apiGroups: [""], resources: [configmaps], verbs: [get, create, update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: backfill-operator, namespace: {0}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: backfill-operator}}
subjects: [{{kind: ServiceAccount, name: backfill-operator, namespace: {0}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: backfill-operator, namespace: {1}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: backfill-operator}}
subjects: [{{kind: ServiceAccount, name: backfill-operator, namespace: {0}}}]
)",
                    ns_, workers_, secret_verbs));
  token_ = Kubectl({"create", "token", "backfill-operator", "-n", ns_, "--duration=10m"});
  while (!token_.empty() && token_.back() == '\n') token_.pop_back();
}

std::unique_ptr<kube::RestTransport> LimitedOperator::Connect() {
  Result<kube::ServerAccess> access = kube::ReadAccess(plane_.kubeconfig());
  if (!access.ok()) {
    ADD_FAILURE() << access.error().message;
    return nullptr;
  }
  access->credentials = {.token = token_, .ca_pem = access->credentials.ca_pem};
  auto connected = kube::Connect(*access, agent_, clock_);
  if (!connected.ok()) {
    ADD_FAILURE() << connected.error().message;
    return nullptr;
  }
  return std::move(connected).value();
}

std::string LimitedOperator::Kubectl(const std::vector<std::string>& args) {
  const Result<std::string> said = plane_.Kubectl(args);
  EXPECT_TRUE(said.ok()) << said.error().message;
  return said.ok() ? *said : "";
}

void LimitedOperator::Apply(const std::string& manifests) {
  const Result<std::string> applied = plane_.Apply(manifests);
  EXPECT_TRUE(applied.ok()) << applied.error().message;
}

std::vector<std::string> LimitedOperator::WhatItDid() {
  const auto lines = plane_.Requests(agent_);
  std::set<std::string> done;
  if (lines.ok())
    for (const cluster::AuditLine& line : *lines)
      done.insert(fmt::format("{} {} {}", line.verb, line.resource, line.code));
  return {done.begin(), done.end()};
}

}  // namespace backfill::certificates
