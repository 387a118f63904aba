#include "base/clock.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "base/range.h"

namespace backfill {
namespace {

using namespace std::chrono_literals;

TEST(ClockTest, WritesTimesOfDayInWholeSecondsOfUtc) {
  EXPECT_EQ(FormatWallTime(WallTime{}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatWallTime(WallTime{1'800'000'000s + 999ms}), "2027-01-15T08:00:00Z");
}

TEST(ClockTest, ReadsTheTimesThatItWrites) {
  EXPECT_EQ(ParseWallTime("2027-01-15T08:00:00Z"), WallTime{1'800'000'000s});
  for (const std::string& other :
       {std::string(), std::string("2026-05-01"), std::string("2026-05-01T12:00:00Zx"),
        std::string("0340-05-01T12:00:00Z"), std::string("1700-05-01T12:00:00Z"),
        std::string("9999-05-01T12:00:00Z"), std::string("2026-05-01 12:00:00Z"),
        "2026-05-01T12:00:00Z" + std::string(100, ' ')}) {
    EXPECT_FALSE(ParseWallTime(other)) << other;
  }
}

TEST(ClockTest, TheSystemsSteadyClockNeverGoesBack) {
  const SystemClock clock;
  const Time before = clock.Steady();
  EXPECT_LE(before, clock.Steady());
}

TEST(RangeTest, SizesSpanAllOfInt64) {
  const Range all{INT64_MIN, INT64_MAX};
  EXPECT_EQ(all.size(), UINT64_MAX);
  EXPECT_EQ(Advance(all.begin, all.size()), INT64_MAX);
  EXPECT_TRUE(all.Contains(INT64_MIN));
  EXPECT_FALSE(all.Contains(INT64_MAX));
  EXPECT_TRUE((Range{5, 5}).empty());
}

}  // namespace
}  // namespace backfill
