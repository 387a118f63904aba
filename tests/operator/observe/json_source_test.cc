#include "operator/observe/json_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "operator/observe/json_pointer.h"

namespace backfill::observe {
namespace {

using testing::HasSubstr;
using throttle::Answer;

// RFC 6901, section 5.
TEST(JsonPointerTest, FindsWhatTheStandardSays) {
  const auto document = nlohmann::json::parse(R"({"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2,
      "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8})");
  const std::pair<const char*, const char*> cases[] = {
      {"/foo/0", "\"bar\""}, {"/", "0"},     {"/a~1b", "1"}, {"/c%d", "2"}, {"/e^f", "3"},
      {"/g|h", "4"},         {"/i\\j", "5"}, {"/k\"l", "6"}, {"/ ", "7"},   {"/m~0n", "8"},
  };
  for (const auto& [pointer, value] : cases) {
    const auto parsed = ParseJsonPointer(pointer);
    ASSERT_TRUE(parsed.ok()) << pointer;
    const auto* found = Find(document, *parsed);
    ASSERT_NE(found, nullptr) << pointer;
    EXPECT_EQ(found->dump(), value);
  }
  EXPECT_EQ(Find(document, *ParseJsonPointer("")), &document);
  for (const char* pointer : {"/foo/2", "/foo/-", "/foo/00", "/foo/01", "/foo/+1", "/foo/0/x", "/x",
                              "/foo/", "/foo/99999999999999999999"}) {
    EXPECT_EQ(Find(document, *ParseJsonPointer(pointer)), nullptr) << pointer;
  }
}

TEST(JsonPointerTest, RefusesWhatIsNone) {
  for (const std::string& bad : {std::string("foo"), std::string("/a~2"), std::string("/a~"),
                                 std::string(2000, '/'), "/" + std::string(2000, 'x')}) {
    const auto parsed = ParseJsonPointer(bad);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalid);
  }
}

Reply ReadJson(std::string_view body, const char* pointer = "/lag") {
  return ReadJsonValue(body, *ParseJsonPointer(pointer), Time{});
}

TEST(JsonSourceTest, ANumberIsAValueAndSoIsATextThatIsOne) {
  EXPECT_EQ(ReadJson(R"({"lag": 2.5})").observation.value, 2.5);
  EXPECT_EQ(ReadJson(R"({"lag": 7})").observation.value, 7);
  EXPECT_EQ(ReadJson(R"({"lag": "0.25"})").observation.value, 0.25);
  EXPECT_EQ(ReadJson("12", "").observation.value, 12);
  EXPECT_EQ(ReadJson(R"({"lag": 2.5})").observation.answer, Answer::kValue);
}

TEST(JsonSourceTest, NothingAndNullAreNoData) {
  EXPECT_EQ(ReadJson(R"({"log": 1})").observation.answer, Answer::kNoData);
  EXPECT_EQ(ReadJson(R"({"lag": null})").observation.answer, Answer::kNoData);
}

TEST(JsonSourceTest, NaNIsNotANumber) {
  EXPECT_EQ(ReadJson(R"({"lag": "NaN"})").observation.answer, Answer::kNotANumber);
  EXPECT_EQ(ReadJson(R"({"lag": "+Inf"})").observation.answer, Answer::kNotANumber);
}

TEST(JsonSourceTest, AnythingElseIsAnError) {
  for (const char* value : {"true", "{}", "[1]", "\"fast\"", "\"\""}) {
    const Reply reply = ReadJson(std::string(R"({"lag": )") + value + "}");
    EXPECT_EQ(reply.observation.answer, Answer::kError) << value;
    EXPECT_FALSE(reply.provider_failed);
    EXPECT_THAT(reply.observation.detail, testing::Not(HasSubstr("fast")));
  }
  EXPECT_TRUE(ReadJson("<html>").provider_failed);
  EXPECT_TRUE(ReadJson("").provider_failed);
  EXPECT_EQ(ReadJson(std::string(10'000, '[')).observation.answer, Answer::kError);
  EXPECT_EQ(ReadJson(R"({"lag": 1e999})").observation.answer, Answer::kError);
}

}  // namespace
}  // namespace backfill::observe
