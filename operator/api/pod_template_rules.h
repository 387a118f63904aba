#pragma once

#include <cstddef>

#include "operator/api/node.h"

namespace backfill::api {

inline constexpr std::size_t kMaxPodTemplateBytes = std::size_t{64} * 1024;

// spec.workers.template is laid over the pod template of worker Jobs (operator/reconcile). What
// would keep workers from being told who they are, or the Job from being one, is refused, each
// with what to do instead; what lists are merged by must be there. Whether the rest is a pod's,
// the API server judges. Fields of the wrong type that the schema knows are passed over.
void CheckPodTemplate(const Node& root, Problems& problems);

}  // namespace backfill::api
