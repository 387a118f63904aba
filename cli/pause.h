#pragma once

#include <string>

#include "cli/environment.h"
#include "cli/place.h"

namespace backfill::cli {

struct PauseOptions {
  std::string name;
  std::string reason;  // empty: says who paused it and when
  bool wait = false;   // until no more work is given out
  Place place;
};

struct ResumeOptions {
  std::string name;
  bool wait = false;  // until work is given out again
  Place place;
};

// Pausing is an annotation of the object, so it works while a runner works on it, in another
// process, and while none does. Both are idempotent. kExitStopped: it was waited for in vain.
int RunPause(const PauseOptions& options, const Environment& env);
int RunResume(const ResumeOptions& options, const Environment& env);

}  // namespace backfill::cli
