#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/reconcile/stage_host.h"

// The Jobs whose pods are the workers of a stage, as manifests. Pure.
//
// A stage is one Indexed Job, above 500 workers several: the first has the name <backfill>-<stage>,
// the others that with -1 to -5. Which of them it is, is the pool of its workers. An index of
// all pools together is pool * 500 + the pod's completion index.
namespace backfill::reconcile {

inline constexpr int kMaxWorkersOfJob = 500;
inline constexpr int kMaxPools = 6;

// How workers, and their Jobs, are found.
inline constexpr std::string_view kWorkerSelector = "app.kubernetes.io/name=backfill-worker";

inline constexpr std::string_view kBackfillNameLabel = "backfill.dev/backfill-name";
inline constexpr std::string_view kBackfillUidLabel = "backfill.dev/backfill-uid";
inline constexpr std::string_view kStageLabel = "backfill.dev/stage";
inline constexpr std::string_view kPoolLabel = "backfill.dev/pool";
inline constexpr std::string_view kTemplateHashLabel = "backfill.dev/template-hash";
inline constexpr std::string_view kPlanHashAnnotation = "backfill.dev/plan-hash";
inline constexpr std::string_view kReconcileAtAnnotation = "backfill.dev/reconcile-at";
// Kueue starts and stops the Jobs that have it; nobody else writes their `suspend`.
inline constexpr std::string_view kQueueLabel = "kueue.x-k8s.io/queue-name";
inline constexpr std::string_view kQueuePriorityLabel = "kueue.x-k8s.io/priority-class";

struct WorkerJobOptions {
  std::string coordinator;  // where workers connect to: dns:///backfill-coordinator.NS.svc:9443
  std::string image;        // of a Backfill whose plan names none
  // Of the container, as JSON; a change reaches the Jobs that are made from then on.
  std::string resources =
      R"({"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"memory":"512Mi"}})";
  // How long a Job that has ended can be looked at.
  std::chrono::seconds ttl_after_finished{3600};

  // kInvalid: it names the field.
  [[nodiscard]] Status Validate() const;
};

// Of a container: requests, limits, and quantities in them. kInvalid: says what is none. Whether a
// quantity makes sense is the API server's to say.
Status CheckWorkerResources(std::string_view json);

std::string WorkerJobName(std::string_view backfill, Stage stage, int pool);

// Of `replicas` in all, how many that pool has.
int ReplicasOfPool(int pool, int replicas);

// How identities and leases name a worker: "run-517" is index 17 of pool 1.
std::string WorkerName(std::string_view stage, int pool, int completion_index);

// What the pods of workers depend on: the Backfill's template, the plan's image and where they
// connect to. 16 hex digits. Whatever else the operator puts into a Job may change from version to
// version, and ends no worker.
std::string TemplateHash(const api::Backfill& backfill, const WorkerJobOptions& options);

bool IsQueued(const api::Backfill& backfill);

// The Job of that pool with `replicas` workers, 1 to 500. kInvalid: no image is known.
Result<std::string> WorkerJob(const api::Backfill& backfill, Stage stage, int pool, int replicas,
                              const WorkerJobOptions& options);

}  // namespace backfill::reconcile
