#include "operator/api/json.h"

#include <gtest/gtest.h>

#include <string>

namespace backfill::api {
namespace {

using namespace std::string_literals;

TEST(JsonTest, ReadsAnObject) {
  EXPECT_TRUE(ParseJsonObject(R"({"a": [1, "b"]})").ok());
  EXPECT_FALSE(ParseJsonObject("[1]").ok());
  EXPECT_FALSE(ParseJsonObject(R"({"a": 1} x)").ok());
}

TEST(JsonTest, ANulDoesNotHideWhatStandsBehindIt) {
  const std::string text = "{\"a\": 1}\0 x"s;
  EXPECT_FALSE(ParseJsonObject(text).ok());
  ASSERT_TRUE(FindJsonFault(text).has_value());
  EXPECT_EQ(FindJsonFault(text)->at, 8U);
}

}  // namespace
}  // namespace backfill::api
