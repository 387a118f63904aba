#include "tests/cli/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace backfill::cli {

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string file = std::string(BACKFILL_GOLDEN_DIR) + "/" + name;
  if (std::getenv("BACKFILL_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(file) << text;
    return;
  }
  std::ifstream in(file);
  ASSERT_TRUE(in) << file << " is missing: run with BACKFILL_UPDATE_GOLDEN=1";
  std::stringstream expected;
  expected << in.rdbuf();
  EXPECT_EQ(expected.str(), text) << "differs from " << file;
}

std::string JoinLines(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

}  // namespace backfill::cli
