#include "base/nearest.h"

#include <gtest/gtest.h>

namespace backfill {
namespace {

const std::vector<std::string> kFields = {"source", "target", "workers", "throttle", "dryRun"};

TEST(NearestTest, FindsTheNearestFieldAcrossTypingErrorsAndCase) {
  EXPECT_EQ(Nearest("sorce", kFields), "source");
  EXPECT_EQ(Nearest("wrokers", kFields), "workers");
  EXPECT_EQ(Nearest("DRYRUN", kFields), "dryRun");
  EXPECT_EQ(Nearest("throttling", kFields), "throttle");
}

TEST(NearestTest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(Nearest("schedule", kFields), std::nullopt);
  EXPECT_EQ(Nearest("", kFields), std::nullopt);
  EXPECT_EQ(Nearest(std::string(10'000, 'w'), kFields), std::nullopt);
  EXPECT_EQ(Nearest("x", {}), std::nullopt);
  EXPECT_EQ(Nearest("x", {"y"}), std::nullopt) << "any other letter would do";
  EXPECT_EQ(Nearest("x", {"X"}), "X");
}

}  // namespace
}  // namespace backfill
