#include "operator/observe/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace backfill::observe {
namespace {

using throttle::Answer;

TEST(ExcerptTest, IsOneLineWithoutWhatATerminalObeys) {
  EXPECT_EQ(Excerpt("  a\n\tb\r\n c "), "a b c");
  EXPECT_EQ(Excerpt("\x1b[31mred\x07"), "?[31mred?");
  EXPECT_EQ(Excerpt("caf\xc3\xa9 \xff\xc2\x9b"), "caf\xc3\xa9 ??");
  EXPECT_EQ(Excerpt(""), "");
}

TEST(ExcerptTest, IsCutAtTheBorderOfACharacterAndSaysSo) {
  EXPECT_EQ(Excerpt("0123456789", 10), "0123456789");
  EXPECT_EQ(Excerpt("0123456789a", 10), "0123456...");
  EXPECT_EQ(Excerpt("012345\xc3\xa9xyz", 10), "012345...");
  for (std::size_t bytes = 0; bytes < 12; ++bytes)
    EXPECT_LE(Excerpt("0123456789abc", bytes).size(), bytes);
  EXPECT_LE(Excerpt(std::string(10'000'000, 'x')).size(), kMaxDetailBytes);
}

TEST(AnswersTest, WhatIsNotFiniteIsNoValue) {
  EXPECT_EQ(ValueAt(0.25, {}).observation.answer, Answer::kValue);
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(ValueAt(value, {}).observation.answer, Answer::kNotANumber);
  }
}

TEST(AnswersTest, OnlyWhoDidNotServeIsBlamed) {
  const auto blamed = [](ErrorCode code) {
    return NotReached({}, "s", {code, "m"}).provider_failed;
  };
  EXPECT_TRUE(blamed(ErrorCode::kUnavailable));
  EXPECT_TRUE(blamed(ErrorCode::kDeadline));
  EXPECT_TRUE(blamed(ErrorCode::kUnauthenticated));
  EXPECT_FALSE(blamed(ErrorCode::kInvalid)) << "a reply that is too large was given";
  EXPECT_FALSE(blamed(ErrorCode::kAborted)) << "we were stopped";
}

}  // namespace
}  // namespace backfill::observe
