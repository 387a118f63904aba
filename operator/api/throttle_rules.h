#pragma once

#include <string>

#include "operator/api/node.h"

namespace backfill::api {

// Rules about spec.throttle and spec.schedule that CEL cannot express: dates and zones that there
// are, names that are one budget's alone. Fields that are absent or of the wrong type are passed
// over.
void CheckThrottle(const Node& root, Problems& problems);

// Of an override that stands at `path`.
void CheckOverride(const Node& override, const std::string& path, Problems& problems);

// What is allowed there, and may hurt. Warnings.
void FindThrottleRisks(const Node& root, Problems& risks);

}  // namespace backfill::api
