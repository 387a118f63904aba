#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "cli/environment.h"
#include "cli/place.h"

namespace backfill::cli {

struct StatusOptions {
  std::string name;             // empty: all
  std::string output = "text";  // text, wide, json, yaml
  bool wait = false;            // for the end, or until a person is needed
  std::optional<Duration> timeout;
  Place place;
};

// Prints one backfill or a table of all. With `wait` the exit code is that of `run`, and
// kExitStopped after the timeout or when nothing runs it.
int RunStatus(const StatusOptions& options, const Environment& env);

}  // namespace backfill::cli
