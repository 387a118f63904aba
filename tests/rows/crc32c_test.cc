#include "rows/crc32c.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace backfill::rows {
namespace {

TEST(Crc32cTest, KnowsTheVectorsOfTheStandard) {
  EXPECT_EQ(Crc32c(0, ""), 0U);
  EXPECT_EQ(Crc32c(0, "123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32c(0, std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(0, std::string(32, '\xFF')), 0x62A8AB43U);
}

TEST(Crc32cTest, TakesLongInputInLanesAndGetsTheSame) {
  std::string bytes(100'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 5);
  for (std::size_t size = 0; size <= bytes.size(); size += size < 1'000 ? 1 : 997)
    EXPECT_EQ(Crc32c(7, {bytes.data(), size}), PortableCrc32c(7, {bytes.data(), size})) << size;
}

RC_GTEST_PROP(Crc32cTest, OfTwoPartsIsTheirCombination,
              (const std::string& a, const std::string& b)) {
  const std::uint32_t whole = Crc32c(0, a + b);
  RC_ASSERT(Crc32c(Crc32c(0, a), b) == whole);
  RC_ASSERT(CombineCrc32c(Crc32c(0, a), Crc32c(0, b), b.size()) == whole);
  RC_ASSERT(PortableCrc32c(0, a + b) == whole);
}

TEST(Crc32cTest, CombinesWithPartsOfAnyLength) {
  const std::uint32_t a = Crc32c(0, "front");
  for (const std::size_t size : {0U, 1U, 255U, 4'194'304U}) {
    const std::string b(size, 'b');
    EXPECT_EQ(CombineCrc32c(a, Crc32c(0, b), size), Crc32c(a, b)) << size;
  }
}

}  // namespace
}  // namespace backfill::rows
