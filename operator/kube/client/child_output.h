#pragma once

#include <cstddef>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::kube {

struct ChildCommand {
  std::string program;  // looked for in PATH if it has no slash; no shell sees it
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;  // added to ours
  std::size_t max_output_bytes = 1 << 20;
};

// Runs it to its end, which it must come to by itself in time: what it has started of its own is
// killed with it. It reads nothing, and complains where we do. Its output, if it ends with 0.
// kNotFound: there is no such program; kUnavailable; kDeadline; kAborted; kInvalid: too much
// output.
Result<std::string> OutputOf(const ChildCommand& command, Time deadline, std::stop_token stop);

}  // namespace backfill::kube
