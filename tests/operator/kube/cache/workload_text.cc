#include "tests/operator/kube/cache/workload_text.h"

#include <fmt/format.h>

namespace backfill::kube {
namespace {

constexpr const char* kManagedFields = R"([{"apiVersion":"batch/v1","fieldsType":"FieldsV1",
 "fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:backfill.dev/stage":{}}},"f:spec":{"f:suspend":{}}},
 "manager":"backfill-operator","operation":"Update","time":"2026-11-27T10:00:00Z"},
 {"apiVersion":"batch/v1","fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:active":{},"f:ready":{}}},
 "manager":"kube-controller-manager","operation":"Update","subresource":"status","time":"2026-11-27T10:00:01Z"}])";

constexpr const char* kLabels = R"("app.kubernetes.io/name":"backfill-worker",
 "app.kubernetes.io/component":"run","app.kubernetes.io/managed-by":"backfill-operator",
 "app.kubernetes.io/part-of":"backfill","backfill.dev/backfill-name":"reprice-orders-of-last-year",
 "backfill.dev/backfill-uid":"0c8a3a9e-7a51-4f0e-9f44-6f2f0a4f3c11","backfill.dev/stage":"run",
 "backfill.dev/pool":"0","backfill.dev/template-hash":"5f9d7c6b8a")";

std::string Uid(int index) { return fmt::format("7d3e0b52-8c1f-4d6a-b0a7-{:012d}", index); }

std::string PodMetadata(const WorkloadText& what) {
  return fmt::format(
      R"("metadata":{{"name":"reprice-orders-of-last-year-run-{0}-x7k2p",
 "generateName":"reprice-orders-of-last-year-run-{0}-","namespace":"shop-production",
 "uid":"{1}","resourceVersion":"{2}","generation":1,"creationTimestamp":"2026-11-27T10:00:00Z",
 "labels":{{{3},"batch.kubernetes.io/controller-uid":"5a0c4f9d-11d2-4c55-8f8e-9d1a2b3c4d5e",
 "batch.kubernetes.io/job-completion-index":"{0}",
 "batch.kubernetes.io/job-name":"reprice-orders-of-last-year-run",
 "controller-uid":"5a0c4f9d-11d2-4c55-8f8e-9d1a2b3c4d5e","job-name":"reprice-orders-of-last-year-run"}},
 "annotations":{{"batch.kubernetes.io/job-completion-index":"{0}",
 "kubernetes.io/config.seen":"2026-11-27T10:00:00.123456789Z"}},
 "finalizers":["batch.kubernetes.io/job-tracking"],
 "ownerReferences":[{{"apiVersion":"batch/v1","kind":"Job","name":"reprice-orders-of-last-year-run",
 "uid":"5a0c4f9d-11d2-4c55-8f8e-9d1a2b3c4d5e","controller":true,"blockOwnerDeletion":true}}],
 "managedFields":{4}}})",
      what.index, Uid(what.index), what.version, kLabels, kManagedFields);
}

constexpr const char* kPodSpec = R"({"restartPolicy":"Never","automountServiceAccountToken":false,
 "enableServiceLinks":false,"terminationGracePeriodSeconds":30,"serviceAccountName":"default",
 "securityContext":{"runAsNonRoot":true,"runAsUser":65532,"seccompProfile":{"type":"RuntimeDefault"}},
 "containers":[{"name":"worker","image":"registry.example/backfill-worker:0.1.0",
 "env":[{"name":"BACKFILL_COORDINATOR","value":"backfill-coordinator.backfill.svc:9443"},
 {"name":"BACKFILL_NAMESPACE","value":"shop-production"},{"name":"BACKFILL_STAGE","value":"run"},
 {"name":"BACKFILL_POD_UID","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.uid"}}}],
 "resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"memory":"512Mi"}},
 "volumeMounts":[{"name":"backfill-identity","mountPath":"/var/run/secrets/backfill.dev","readOnly":true}],
 "securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}],
 "volumes":[{"name":"backfill-identity","projected":{"defaultMode":288,"sources":[
 {"serviceAccountToken":{"audience":"backfill-operator","expirationSeconds":3600,"path":"token"}},
 {"configMap":{"name":"backfill-operator-ca","items":[{"key":"ca.crt","path":"ca.crt"}]}}]}}]})";

}  // namespace

std::string WorkerJobText(const WorkloadText& what) {
  return fmt::format(
      R"({{"apiVersion":"batch/v1","kind":"Job","metadata":{{
 "name":"reprice-orders-of-last-year-run-{0}","namespace":"shop-production","uid":"{1}",
 "resourceVersion":"{2}","generation":3,"creationTimestamp":"2026-11-27T10:00:00Z",
 "labels":{{{3}}},
 "annotations":{{"backfill.dev/plan-hash":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
 "batch.kubernetes.io/job-tracking":"","kubectl.kubernetes.io/last-applied-configuration":"{4:x>3000}"}},
 "finalizers":["orphan"],
 "ownerReferences":[{{"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill",
 "name":"reprice-orders-of-last-year","uid":"0c8a3a9e-7a51-4f0e-9f44-6f2f0a4f3c11",
 "controller":true,"blockOwnerDeletion":true}}],
 "managedFields":{5}}},
 "spec":{{"completionMode":"Indexed","completions":500,"parallelism":500,"suspend":false,
 "backoffLimit":2147483647,"backoffLimitPerIndex":20,"podReplacementPolicy":"Failed",
 "selector":{{"matchLabels":{{"batch.kubernetes.io/controller-uid":"{1}"}}}},
 "ttlSecondsAfterFinished":3600,"template":{{"metadata":{{"labels":{{{3}}}}},"spec":{6}}}}},
 "status":{{"startTime":"2026-11-27T10:00:00Z","active":480,"ready":479,"terminating":3,
 "succeeded":17,"failed":5,"completedIndexes":"0-3,7,9-20","failedIndexes":"33",
 "uncountedTerminatedPods":{{}},
 "conditions":[{{"type":"Suspended","status":"False","reason":"JobResumed","message":"Job resumed",
 "lastProbeTime":"2026-11-27T10:00:00Z","lastTransitionTime":"2026-11-27T10:00:00Z"}},
 {{"type":"FailureTarget","status":"True","reason":"PodFailurePolicy",
 "message":"Container worker for pod shop-production/reprice-orders-of-last-year-run-33-abcde failed with exit code 78 matching FailJob rule at index 1",
 "lastProbeTime":"2026-11-27T11:00:00Z","lastTransitionTime":"2026-11-27T11:00:00Z"}}]}}}})",
      what.index, Uid(what.index), what.version, kLabels, "x", kManagedFields, kPodSpec);
}

std::string WorkerPodText(const WorkloadText& what) {
  return fmt::format(
      R"({{"apiVersion":"v1","kind":"Pod",{},"spec":{},"status":{{"phase":"Running","podIP":"10.0.0.7",
 "hostIP":"10.1.1.1","qosClass":"Burstable","conditions":[{{"type":"Ready","status":"True",
 "lastTransitionTime":"2026-11-27T10:00:05Z"}}]}}}})",
      PodMetadata(what), kPodSpec);
}

std::string WorkerPodMetadataText(const WorkloadText& what) {
  return fmt::format(R"({{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata",{}}})",
                     PodMetadata(what));
}

}  // namespace backfill::kube
