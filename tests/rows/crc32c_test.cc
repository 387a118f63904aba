#include "rows/crc32c.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace backfill::rows {
namespace {

TEST(Crc32cTest, KnowsTheVectorsOfTheStandard) {
  EXPECT_EQ(Crc32c(0, ""), 0U);
  EXPECT_EQ(Crc32c(0, "123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32c(0, std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(0, std::string(32, '\xFF')), 0x62A8AB43U);
}

}  // namespace
}  // namespace backfill::rows
