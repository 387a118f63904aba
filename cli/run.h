#pragma once

#include <string>

#include "cli/environment.h"
#include "cli/place.h"

namespace backfill::cli {

struct RunOptions {
  std::string file;
  int workers = 0;              // at most that many; 0: as the file says
  std::string output = "text";  // text, json
  bool no_progress = false;
  Place place;
};

// Runs a backfill on this machine until its end, or goes on where an earlier run stopped. See
// exit_code.h.
int RunRun(const RunOptions& options, const Environment& env);

}  // namespace backfill::cli
