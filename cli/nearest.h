#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace backfill::cli {

// The name that was probably meant: the candidate with the fewest letters to insert, delete,
// replace or swap, if these are at most a third of the letters. Empty: none is near. Pure.
std::string NearestName(std::string_view wanted, const std::vector<std::string>& candidates);

}  // namespace backfill::cli
