#pragma once

#include <optional>

#include "operator/api/node.h"

namespace backfill::api {

// The planner's limit. It keeps the ledger small whatever the source.
inline constexpr Integer kMaxPlannedShards = 100'000;

// Rules about the amount of work and the outcomes that CEL cannot express. Fields that are absent
// or of the wrong type are passed over: the schema has reported them.
void CheckWork(const Node& root, Problems& problems);

// How many records spec.source has. Absent: it is not valid.
std::optional<Integer> CountRecords(const Node& root);

}  // namespace backfill::api
