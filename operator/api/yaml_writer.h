#pragma once

#include <string>

#include "operator/api/node.h"

namespace backfill::api {

// Block style, two blanks a level, members as given. A string that some program could take for
// something else (a number, a truth value, a date, nothing) is quoted, so that every reader sees
// the same.
std::string WriteYaml(const Node& node);

}  // namespace backfill::api
