#include "operator/api/promql_range.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace backfill::api {
namespace {

using namespace std::chrono_literals;

TEST(PromqlRangeTest, FindsTheLongestRange) {
  EXPECT_EQ(LongestRange("rate(a[60s])"), 60s);
  EXPECT_EQ(LongestRange("rate(a[1m]) / rate(b[ 1h30m ])"), 90min);
  EXPECT_EQ(LongestRange("max_over_time(rate(a[1m])[10m:30s])"), 10min);
  EXPECT_EQ(LongestRange("a[2d] + b[1w] + c[250ms]"), std::chrono::hours(168));
}

TEST(PromqlRangeTest, WhatIsQuotedOrACommentIsNoRange) {
  EXPECT_EQ(LongestRange("up"), std::nullopt);
  EXPECT_EQ(LongestRange(""), std::nullopt);
  EXPECT_EQ(LongestRange(R"(a{path="[5m]", q='[6m]', r=`[7m]\`} * rate(b[1m]))"), 1min);
  EXPECT_EQ(LongestRange(R"(a{path="\"[5m]"})"), std::nullopt);
  EXPECT_EQ(LongestRange("rate(a[1m]) # not [5m]\n"), 1min);
  EXPECT_EQ(LongestRange("a[$__interval]"), std::nullopt);
  EXPECT_EQ(LongestRange("a[5]"), std::nullopt);
}

TEST(PromqlRangeTest, EveryTextEnds) {
  EXPECT_TRUE(rc::check("no text hangs or overflows", [] {
    const auto text = *rc::gen::container<std::string>(
        rc::gen::elementOf(std::string("[]\"'`\\#\n0123456789msdwy: ")));
    const auto range = LongestRange(text);
    RC_ASSERT((!range || *range <= std::chrono::hours(24 * 366)));
  }));
  EXPECT_EQ(LongestRange("a[" + std::string(100'000, '9') + "h]"), std::chrono::hours(24 * 366));
}

}  // namespace
}  // namespace backfill::api
