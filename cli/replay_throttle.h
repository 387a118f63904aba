#pragma once

#include <string>
#include <vector>

#include "cli/environment.h"

namespace backfill::cli {

struct ReplayThrottleOptions {
  std::vector<std::string> logs;  // as one, in this order; "-" is stdin
  bool decisions = false;
};

// Makes the decisions of a governor again from its log and says whether they are the same.
// kExitNotStarted: a log cannot be read, or has none that could be made again.
// kExitDecisionsDiffer: some differ.
int RunReplayThrottle(const ReplayThrottleOptions& options, Streams& streams);

}  // namespace backfill::cli
