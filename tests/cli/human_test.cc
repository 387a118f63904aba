#include "cli/human.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <limits>

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

TEST(HumanTest, GroupsDigits) {
  EXPECT_EQ(Grouped(std::uint64_t{0}), "0");
  EXPECT_EQ(Grouped(std::uint64_t{999}), "999");
  EXPECT_EQ(Grouped(std::uint64_t{10'000'000}), "10,000,000");
  EXPECT_EQ(Grouped(std::int64_t{-1000}), "-1,000");
  EXPECT_EQ(Grouped(std::numeric_limits<std::int64_t>::min()), "-9,223,372,036,854,775,808");
}

TEST(HumanTest, ShowsRates) {
  EXPECT_EQ(PerSecond(0), "0/s");
  EXPECT_EQ(PerSecond(-1), "0/s");
  EXPECT_EQ(PerSecond(0.5), "0.5/s");
  EXPECT_EQ(PerSecond(3), "3/s");
  EXPECT_EQ(PerSecond(4980.4), "4,980/s");
  EXPECT_EQ(PerSecond(std::numeric_limits<double>::quiet_NaN()), "0/s");
  EXPECT_EQ(PerSecond(std::numeric_limits<double>::infinity()), "1,000,000,000,000,000/s");
}

TEST(HumanTest, ShowsTheTwoLargestUnitsOfADuration) {
  EXPECT_EQ(Lasting(0), "0 s");
  EXPECT_EQ(Lasting(0.0001), "1 ms");
  EXPECT_EQ(Lasting(0.25), "250 ms");
  EXPECT_EQ(Lasting(0.9999), "1 s");
  EXPECT_EQ(Lasting(59.6), "1 min");
  EXPECT_EQ(Lasting(2000), "33 min 20 s");
  EXPECT_EQ(Lasting(3600 * 27), "1 d 3 h");
  EXPECT_EQ(Lasting(3601), "1 h");
  EXPECT_EQ(Lasting(1e12), "more than 10 years");
}

TEST(HumanTest, ReadsDurations) {
  EXPECT_EQ(ParseDuration("90s").value(), 90s);
  EXPECT_EQ(ParseDuration("1h30m").value(), 90min);
  EXPECT_EQ(ParseDuration("500ms").value(), 500ms);
  EXPECT_EQ(ParseDuration("0s").value(), 0s);
  for (const char* bad :
       {"", "s", "10", "-1s", "1.5h", "1d", "10 s", "99999999999999999999s", "9999999h"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(HumanTest, ReadsAnyTextWithoutHarm) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    const auto duration = ParseDuration(text);
    if (duration.ok()) RC_ASSERT(*duration >= 0ns);
  }));
}

}  // namespace
}  // namespace backfill::cli
