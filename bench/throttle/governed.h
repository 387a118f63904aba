#pragma once

#include "bench/throttle/contestant.h"

namespace backfill::throttle_bench {

// The governor of operator/throttle, as it is shipped, and the inner loop of a worker as a model.
Contestant GovernorAlone();  // without the inner loop
Contestant TheGovernor();

}  // namespace backfill::throttle_bench
