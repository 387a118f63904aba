#pragma once

#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/place.h"

namespace backfill::cli {

struct LintOptions {
  std::vector<std::string> files;  // "-" is stdin
  Place place;
};

// Prints every problem and warning of every file on out. kExitNotStarted: at least one file is not
// valid.
int RunLint(const LintOptions& options, Streams& streams);

}  // namespace backfill::cli
