#pragma once

#include <memory>

#include "base/result.h"
#include "cli/operator.h"

namespace backfill::cli {

// The operator in this process: coordinator on a unix socket, workers as child processes,
// reconciler. `store` must outlive it. kInvalid: no worker can ever start here; kUnavailable: the
// socket cannot be made.
Result<std::unique_ptr<Operator>> StartLocalOperator(kube::ObjectStore& store,
                                                     const OperatorSettings& settings);

}  // namespace backfill::cli
