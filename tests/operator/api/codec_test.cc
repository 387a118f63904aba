#include "operator/api/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace backfill::api {
namespace {

using namespace std::chrono_literals;

TEST(DurationTest, ReadsEveryUnitAndSumsThem) {
  EXPECT_EQ(ParseDuration("250ms"), 250ms);
  EXPECT_EQ(ParseDuration("5s"), 5000ms);
  EXPECT_EQ(ParseDuration("1m30s"), 90s);
  EXPECT_EQ(ParseDuration("1h1m1s1ms"), 3661001ms);
  EXPECT_EQ(ParseDuration("007s"), 7s);
}

TEST(DurationTest, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "5", "s", "ms", "5 s", "-5s", "5d", "1.5s", "5sm"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(DurationTest, EndlessDigitsSaturate) {
  const auto century = std::chrono::hours(24 * 366 * 100);
  EXPECT_EQ(ParseDuration(std::string(10'000, '9') + "h"), century);
  EXPECT_EQ(ParseDuration("99999999h99999999h99999999h"), century);
}

TEST(DurationTest, WhatIsWrittenIsReadAgain) {
  EXPECT_EQ(WriteDuration(0ms), "0s");
  EXPECT_EQ(WriteDuration(90s), "90s");
  EXPECT_EQ(WriteDuration(120min), "2h");
  EXPECT_TRUE(rc::check("round trip", [] {
    const std::chrono::milliseconds duration(*rc::gen::inRange<std::int64_t>(0, 1'000'000'000));
    RC_ASSERT(ParseDuration(WriteDuration(duration)) == duration);
  }));
}

}  // namespace
}  // namespace backfill::api
