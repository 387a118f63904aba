#pragma once

#include <string>
#include <vector>

namespace backfill::cli {

// Compares with tests/cli/golden/<name>; with BACKFILL_UPDATE_GOLDEN=1 in the environment writes it
// instead.
void ExpectGolden(const std::string& name, const std::string& text);

std::string JoinLines(const std::vector<std::string>& lines);

}  // namespace backfill::cli
