#include "operator/observe/series_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace backfill::observe {
namespace {

using testing::HasSubstr;

bool Matches(std::string_view selector, const std::vector<Label>& labels) {
  const auto parsed = ParseSeriesSelector(selector);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() && parsed->MatchesLabels({.name = "a", .labels = labels});
}

TEST(SeriesSelectorTest, ComparesLabels) {
  const std::vector<Label> labels{{"route", "/r"}, {"code", "200"}};
  EXPECT_TRUE(Matches("a", labels));
  EXPECT_TRUE(Matches("a{}", labels));
  EXPECT_TRUE(Matches(R"(a{route="/r"})", labels));
  EXPECT_TRUE(Matches(R"( a { code = "200" , route="/r", } )", labels));
  EXPECT_FALSE(Matches(R"(a{route="/s"})", labels));
  EXPECT_TRUE(Matches(R"(a{code!="500"})", labels));
  EXPECT_FALSE(Matches(R"(a{code!="200"})", labels));
}

TEST(SeriesSelectorTest, AMissingLabelIsAnEmptyOne) {
  EXPECT_TRUE(Matches(R"(a{code=""})", {}));
  EXPECT_FALSE(Matches(R"(a{code!=""})", {}));
  EXPECT_TRUE(Matches(R"(a{code!="200"})", {}));
}

TEST(SeriesSelectorTest, SaysWhatItDoesNotUnderstand) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "must begin with the name"},
      {R"({a="b"})", "must begin with the name"},
      {R"(a{b=~"c"})", "regular expressions"},
      {R"(a{b!~"c"})", "regular expressions"},
      {"a[5m]", "a range has no place"},
      {"rate(a[5m])", "a function has no place"},
      {R"(a{b="c"} 1)", "nothing else"},
      {R"(a{b="c")", "comma"},
      {"a{b=c}", "double quotes"},
      {"a{b}", "= or !="},
      {"a{=\"c\"}", "must have a name"},
  };
  for (const auto& [text, part] : cases) {
    const auto parsed = ParseSeriesSelector(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(parsed.error().message, HasSubstr(part)) << text;
  }
  EXPECT_FALSE(ParseSeriesSelector(std::string(2000, 'a')).ok());
}

TEST(SeriesSelectorTest, TheKeyOfASeriesIsTheSameInWhicheverOrderLabelsStand) {
  const std::vector<Label> one{{"b", "x\"\n\\"}, {"le", "0.1"}, {"a", "1"}, {"none", ""}};
  const std::vector<Label> other{{"a", "1"}, {"le", "0.2"}, {"b", "x\"\n\\"}};
  EXPECT_EQ(LabelsWithout({.name = "n", .labels = one}, "le"), R"({a="1",b="x\"\n\\"})");
  EXPECT_EQ(LabelsWithout({.name = "n", .labels = one}, "le"),
            LabelsWithout({.name = "n", .labels = other}, "le"));
  EXPECT_EQ(LabelsWithout({.name = "n", .labels = {}}, ""), "{}");
}

}  // namespace
}  // namespace backfill::observe
