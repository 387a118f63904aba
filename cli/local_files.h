#pragma once

#include <string>
#include <vector>

#include "operator/api/backfill.h"

namespace backfill::cli {

// The files and variables of this machine that source and target name as credentials and that
// workers here could not read, each as "spec.target.http...: why". What they hold is not looked at,
// nor shown.
std::vector<std::string> FindUnreadable(const api::Spec& spec);

}  // namespace backfill::cli
