#pragma once

#include <string>
#include <vector>

#include "operator/api/backfill.h"

namespace backfill::cli {

// The files and variables of this machine that the target names and that workers here could not
// read, each as "spec.target.http...: why". What they hold is not looked at, nor shown.
std::vector<std::string> FindUnreadable(const api::HttpTarget& target);

}  // namespace backfill::cli
