#pragma once

#include <string_view>

// The names in a worker's pod that the product gives, and that spec.workers.template therefore may
// not: what checks the one and what makes the other must agree.
namespace backfill::api {

// What the product sets in the container `worker`; nobody else may.
inline constexpr std::string_view kWorkerVariables[] = {
    "BACKFILL_COORDINATOR", "BACKFILL_TOKEN_FILE", "BACKFILL_CA_FILE",    "BACKFILL_NAMESPACE",
    "BACKFILL_NAME",        "BACKFILL_UID",        "BACKFILL_STAGE",      "BACKFILL_POOL",
    "BACKFILL_POD_NAME",    "BACKFILL_POD_UID",    "JOB_COMPLETION_INDEX"};

inline constexpr std::string_view kWorkerContainer = "worker";
inline constexpr std::string_view kIdentityVolume = "backfill-identity";
inline constexpr std::string_view kIdentityPath = "/var/run/secrets/backfill.dev";

}  // namespace backfill::api
