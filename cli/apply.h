#pragma once

#include <string>

#include "cli/environment.h"
#include "cli/place.h"

namespace backfill::cli {

struct ApplyOptions {
  std::string file;
  Place place;
};

// Changes a backfill that has been run before, also while it runs: prints what changed, field by
// field, or why it may not.
int RunApply(const ApplyOptions& options, const Environment& env);

}  // namespace backfill::cli
