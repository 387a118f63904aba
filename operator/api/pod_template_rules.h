#pragma once

#include <cstddef>
#include <string_view>

#include "operator/api/node.h"

namespace backfill::api {

// spec.workers.template is laid over the pod template of worker Jobs (operator/reconcile). What
// would keep workers from being told who they are, or the Job from being one, is refused, each
// with what to do instead; what lists are merged by must be there. Whether the rest is a pod's,
// the API server judges. Fields of the wrong type that the schema knows are passed over.
void CheckPodTemplate(const Node& root, Problems& problems);

// What the product sets in the container `worker`; nobody else may.
inline constexpr std::string_view kWorkerVariables[] = {
    "BACKFILL_COORDINATOR", "BACKFILL_TOKEN_FILE", "BACKFILL_CA_FILE",    "BACKFILL_NAMESPACE",
    "BACKFILL_NAME",        "BACKFILL_UID",        "BACKFILL_STAGE",      "BACKFILL_POOL",
    "BACKFILL_POD_NAME",    "BACKFILL_POD_UID",    "JOB_COMPLETION_INDEX"};

inline constexpr std::string_view kWorkerContainer = "worker";
inline constexpr std::string_view kIdentityVolume = "backfill-identity";
inline constexpr std::string_view kIdentityPath = "/var/run/secrets/backfill.dev";
inline constexpr std::size_t kMaxPodTemplateBytes = std::size_t{64} * 1024;

}  // namespace backfill::api
