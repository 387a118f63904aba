#pragma once

#include <vector>

#include "bench/throttle/contestant.h"

namespace backfill::throttle_bench {

// What else could decide a rate. Their documented rules and defaults, not tuned to these scenarios:
// README.md says which.
std::vector<Contestant> Baselines();

}  // namespace backfill::throttle_bench
