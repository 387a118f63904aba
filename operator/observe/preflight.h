#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/observe/query.h"
#include "operator/throttle/governor_options.h"
#include "operator/throttle/observation.h"

namespace backfill::observe {

// Why no record may be sent yet.
struct PreflightProblem {
  std::string reason;   // of the condition Ready: MetricUnavailable
  std::string message;  // one line, at most 160 bytes: the budget, what was answered, the query
};

// Before the first record each required budget must have been seen to work: so a typo, or a metric
// that lives on the backfill's own traffic, is found while nothing depends on it. Whether it was is
// the governor's to say (throttle::Preflight); this says it to people, with the query.
//
// `observations` and `queries` stand in the order of the budgets. Pure.
std::optional<PreflightProblem> Preflight(const throttle::GovernorOptions& options,
                                          const std::vector<throttle::Observation>& observations,
                                          const std::vector<Query>& queries, Time now);

}  // namespace backfill::observe
