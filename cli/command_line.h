#pragma once

#include <string>
#include <vector>

#include "cli/environment.h"

namespace backfill::cli {

// Parses the arguments (without the program's name) and runs the command they name. Help goes to
// out; what cannot be understood is explained on err, kExitNotStarted.
int RunCommandLine(const std::vector<std::string>& arguments, const Environment& env);

// What could stand for the last of the words that follow "kubectl backfill", on out, in the form in
// which kubectl asks its plugins (kubectl_complete-backfill).
int RunKubectlCompletion(const std::vector<std::string>& words, const Environment& env);

}  // namespace backfill::cli
