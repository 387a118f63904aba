#pragma once

#include <optional>
#include <variant>

#include "cli/locks.h"

namespace backfill::cli {

// The operator of a cluster. Whether it is there right now nobody but itself can tell: what it has
// seen and done is in the status.
struct ClusterOperator {};

// Who moves a backfill on: a process of this machine, or the operator of a cluster.
using RunBy = std::variant<RunnerInfo, ClusterOperator>;

inline bool IsClusterOperator(const std::optional<RunBy>& runner) {
  return runner && std::holds_alternative<ClusterOperator>(*runner);
}

}  // namespace backfill::cli
