#pragma once

#include <string>

#include "cli/environment.h"
#include "cli/place.h"

namespace backfill::cli {

struct WatchOptions {
  std::string name;
  Place place;
};

// Shows how a backfill goes that another process runs, until it has ended or is run no more; then
// its status, and the exit code of `status --wait`. Changes no state.
int RunWatch(const WatchOptions& options, const Environment& env);

}  // namespace backfill::cli
