#pragma once

#include <optional>
#include <string_view>

#include "operator/api/node.h"
#include "operator/api/throttle.h"

namespace backfill::api {

// As codec.h, for spec.throttle, spec.schedule and status.throttle. Each takes the map that holds
// those fields.
Throttle ReadThrottle(const Node& throttle);
Schedule ReadSchedule(const Node& schedule);
ThrottleStatus ReadThrottleStatus(const Node& throttle);
// An override as in the annotation.
Override ReadOverride(const Node& override);

Node WriteThrottle(const Throttle& throttle);
Node WriteSchedule(const Schedule& schedule);
Node WriteThrottleStatus(const ThrottleStatus& throttle);
Node WriteOverride(const Override& override);

std::string_view ToString(Preset preset);
std::string_view ToString(OnNoTraffic on_no_traffic);
std::string_view ToString(Reduce reduce);

}  // namespace backfill::api
