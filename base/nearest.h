#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace backfill {

// The candidate that a typing error may have meant: equal but for case, or a few letters away.
// Absent: none is near. Pure.
std::optional<std::string> Nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace backfill
