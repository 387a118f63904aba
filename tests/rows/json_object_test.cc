#include "rows/json_object.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "rows/format.h"

namespace backfill::rows {
namespace {

// Walks over all of it, with or without knowing the quotes; gives the members, and the fault last.
std::vector<std::string> Read(const std::string& text, bool with_quotes) {
  const std::string padded = text + std::string(kPadding, '\0');
  std::vector<std::uint32_t> quotes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quotes.push_back(static_cast<std::uint32_t>(i));
  }
  quotes.push_back(0);  // never null
  const std::string_view view(padded.data(), text.size());
  JsonObject object = with_quotes ? JsonObject(view, padded.data(), quotes.data(),
                                               quotes.data() + quotes.size() - 1)
                                  : JsonObject(view);
  std::vector<std::string> seen;
  while (const JsonMember* const member = object.Next()) {
    seen.push_back(std::string(member->name) + "=" + std::string(member->value) + " " +
                   std::string(ToString(member->kind)));
  }
  EXPECT_EQ(object.Next(), nullptr);
  EXPECT_EQ(object.failed(), object.fault().has_value());
  seen.push_back(object.fault().value_or(""));
  return seen;
}

std::optional<std::string> FaultOfText(const std::string& text, bool with_quotes = false) {
  const std::string fault = Read(text, with_quotes).back();
  return fault.empty() ? std::nullopt : std::optional(fault);
}

bool IsPlain(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c != '\\' && static_cast<unsigned char>(c) >= 0x20; });
}

bool IsObjectForNlohmann(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  return !json.is_discarded() && json.is_object();
}

TEST(JsonObjectTest, GivesTheMembersAsTheyStand) {
  EXPECT_THAT(
      Read(R"( {"a": "x\"y", "b":-1.5e3,"c":[1,{"d":[]}], "e" : 17,"f\u0041":null} )", false),
      ::testing::ElementsAre(
          R"(a=x\"y a string)", "b=-1.5e3 a number with a fraction or an exponent",
          R"(c=[1,{"d":[]}] an array)", "e=17 a whole number", R"(f\u0041=null null)", ""));
}

TEST(JsonObjectTest, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(FaultOfText("[1]"), "expected '{', an object a line, at column 1");
  EXPECT_EQ(FaultOfText(R"({"a" 1})"), "expected ':' at column 6");
  EXPECT_EQ(FaultOfText(R"({"a":1,})"), "expected a name in quotes at column 8");
  EXPECT_EQ(FaultOfText(R"({"a":tru})"), "expected a value at column 6");
  EXPECT_EQ(FaultOfText(R"({"a":01})"), "a number with a leading zero at column 7");
  EXPECT_EQ(FaultOfText(R"({"a":1} x)"), "expected nothing behind the object at column 9");
  EXPECT_EQ(FaultOfText(R"({"a":)"), "the object does not end on its line at column 6");
  EXPECT_EQ(FaultOfText(R"({"a":"b)"), "a string that does not end at column 7");
  EXPECT_EQ(FaultOfText("{\"a\":\"\t\"}"), "a control character in a string at column 7");
  EXPECT_EQ(FaultOfText(R"({"a":"\x"})"), "an unknown escape at column 7");
}

TEST(JsonObjectTest, StopsAtSixtyFourLevels) {
  const auto nested = [](int depth) {
    return "{\"a\":" + std::string(static_cast<std::size_t>(depth - 1), '[') +
           std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
  };
  EXPECT_EQ(FaultOfText(nested(64)), std::nullopt);
  EXPECT_THAT(FaultOfText(nested(65)).value_or(""), ::testing::HasSubstr("more than 64 levels"));
}

// Pieces of JSON in any order: mostly wrong, sometimes right.
RC_GTEST_PROP(JsonObjectTest, AcceptsWhatAnotherParserAccepts, ()) {
  const auto parts = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
      "{", "}", "[", "]", ":", ",", "\"a\"", "\"\"", "\"b\":", "1", "12.5", "3.", "-0.5e+7", "true",
      "null", " ", "\t", "\"\\n\\u00e4\"", "01", "\"", "\\", "x"));
  std::string text = "{\"k\":";
  for (const std::string& part : parts) text += part;
  text += *rc::gen::element<std::string>("}", "]}", "", "1}");
  RC_CLASSIFY(IsObjectForNlohmann(text), "valid");
  RC_ASSERT(!FaultOfText(text).has_value() == IsObjectForNlohmann(text));
  if (IsPlain(text))
    RC_ASSERT(FaultOfText(text, true).has_value() == FaultOfText(text).has_value());
}

// Valid ones with one byte changed.
RC_GTEST_PROP(JsonObjectTest, SeesTheSameFaultsAsAnotherParser, ()) {
  std::string text =
      R"({"id":12,"name":"a b","tags":["x",{"y":[null,false]},-1.25e2],"o":{"p":{}},"e":""})";
  const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
  text[at] =
      *rc::gen::element('"', '{', '}', '[', ']', ',', ':', '1', '.', 'e', '-', ' ', 'x', '\\');
  RC_ASSERT(!FaultOfText(text).has_value() == IsObjectForNlohmann(text));
  if (IsPlain(text))
    RC_ASSERT(FaultOfText(text, true).has_value() == FaultOfText(text).has_value());
}

// Members as most files have them, with blanks where they may stand and now and then a byte that is
// none of JSON's. Whether quotes are known makes no difference, in what is read either.
RC_GTEST_PROP(JsonObjectTest, ReadsTheSameWhetherQuotesAreKnownOrNot, ()) {
  const auto parts =
      *rc::gen::container<std::vector<std::string>>(rc::gen::weightedOneOf<std::string>(
          {{9, rc::gen::element<std::string>("\"a\":1,", "\"bc\": \"x y\", ", "\"d\":20.75,",
                                             "\"\":\"\",", " \"e\" : [1,{\"f\":\"g\"}] ,",
                                             "\"h\":-0.5e1,", "\"i\":null,", "\"j\":0,",
                                             "\"k\":10 ,", "\"l\":\t{}\r,")},
           {1,
            rc::gen::element<std::string>("\"", ",", ":", "1", "}", "\"m\":01,", "\"n\":1.,")}}));
  std::string text = "{";
  for (const std::string& part : parts) text += part;
  text += "\"z\":1}";
  const auto plain = Read(text, false);
  RC_ASSERT(plain == Read(text, true));
  RC_ASSERT(!FaultOfText(text).has_value() == IsObjectForNlohmann(text));
}

TEST(UnescapeJsonTest, GivesTheText) {
  EXPECT_EQ(UnescapeJson(R"(a\"\\\/\b\f\n\r\tz)"), "a\"\\/\b\f\n\r\tz");
  EXPECT_EQ(UnescapeJson(R"(\u0041\u00e4\u20AC\ud83d\ude00)"),
            "A\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(UnescapeJson(R"(\ud83d)"), std::nullopt);
  EXPECT_EQ(UnescapeJson(R"(\ude00)"), std::nullopt);
  EXPECT_EQ(UnescapeJson(R"(\ud83d\u0041)"), std::nullopt);
}

}  // namespace
}  // namespace backfill::rows
