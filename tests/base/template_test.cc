#include "base/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace backfill {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TemplatePart Literal(std::string text, int column, int line = 1) {
  return {TemplatePart::Kind::kLiteral, std::move(text), "", line, column};
}
TemplatePart Placeholder(std::string name, std::string filter, int column, int line = 1) {
  return {TemplatePart::Kind::kPlaceholder, std::move(name), std::move(filter), line, column};
}
std::vector<TemplatePart> Parsed(std::string_view text) {
  auto parts = ParseTemplate(text);
  if (!parts.ok()) ADD_FAILURE() << parts.error().message;
  return parts.ok() ? *parts : std::vector<TemplatePart>{};
}
std::string Refusal(std::string_view text) {
  auto parts = ParseTemplate(text);
  if (parts.ok()) return "(accepted)";
  EXPECT_EQ(parts.error().code, ErrorCode::kInvalid);
  return parts.error().message;
}

TEST(TemplateTest, EmptyTextHasNoParts) { EXPECT_THAT(Parsed(""), IsEmpty()); }

TEST(TemplateTest, SplitsLiteralsAndPlaceholders) {
  EXPECT_THAT(Parsed("/v1/{{key}}/x"),
              ElementsAre(Literal("/v1/", 1), Placeholder("key", "", 5), Literal("/x", 12)));
}

TEST(TemplateTest, ReadsFiltersAndAllowsBlanksInside) {
  EXPECT_THAT(Parsed("{{ fields.total\t| json }}"),
              ElementsAre(Placeholder("fields.total", "json", 1)));
}

TEST(TemplateTest, SingleBracesAndClosingBracesAreLiteral) {
  EXPECT_THAT(
      Parsed("{\"a\": {{key|json}}}}"),
      ElementsAre(Literal("{\"a\": ", 1), Placeholder("key", "json", 7), Literal("}}", 19)));
}

TEST(TemplateTest, FourBracesAreTwoLiteralOnes) {
  EXPECT_THAT(Parsed("a{{{{b}}{{{{{{c}}"),
              ElementsAre(Literal("a{{b}}{{", 1), Placeholder("c", "", 13)));
}

TEST(TemplateTest, PositionsCountLinesAndCharactersNotBytes) {
  EXPECT_THAT(Parsed("ä\nöü{{key}}"),
              ElementsAre(Literal("ä\nöü", 1), Placeholder("key", "", 3, 2)));
}

TEST(TemplateTest, SaysWhereAndWhatIsWrong) {
  EXPECT_EQ(Refusal("/a/{{key"),
            "line 1, column 4: \"{{\" is never closed; end it with \"}}\", or write \"{{{{\" for a "
            "literal \"{{\"");
  EXPECT_EQ(
      Refusal("a\n {{ }}"),
      "line 2, column 2: the placeholder is empty; write a name, such as {{key}}, or {{{{ for "
      "a literal {{");
  EXPECT_EQ(
      Refusal("{{a b}}"),
      "line 1, column 5: 'b' cannot stand here; a placeholder is {{name}} or {{name|filter}}, "
      "of letters, digits, '_', '-' and '.'");
  EXPECT_EQ(Refusal("{{a|}}"),
            "line 1, column 1: the filter after '|' is missing; write one, such as {{a|json}}, or "
            "leave '|' out");
  EXPECT_EQ(
      Refusal("{{{key}}}"),
      "line 1, column 3: \"{{{\" is unclear; put a blank between the brace and the placeholder: "
      "\"{ {{\"");
  EXPECT_THAT(Refusal("{{a|b|c}}"), HasSubstr("column 6: '|' cannot stand here"));
  EXPECT_THAT(Refusal("{{a\xC3\xA4}}"), HasSubstr("column 4: 'ä' cannot stand here"));
  EXPECT_THAT(Refusal("{{a\xFF}}"), HasSubstr("column 4: a character cannot stand here"));
}

TEST(TemplateTest, IsBoundedInBytesPartsAndNames) {
  EXPECT_EQ(Parsed(std::string(64 * 1024, 'x')).size(), 1U);
  EXPECT_THAT(Refusal(std::string(64 * 1024 + 1, 'x')), HasSubstr("longer than 64 KiB"));
  std::string many;
  for (int i = 0; i < 256; ++i) many += "{{key}}";
  EXPECT_EQ(Parsed(many).size(), 256U);
  EXPECT_THAT(Refusal(many + "x"), HasSubstr("more than 256 parts"));
  EXPECT_THAT(Refusal("{{" + std::string(129, 'a') + "}}"), HasSubstr("longer than 128 bytes"));
}

// Rendering the parts as they were written gives an equivalent text: nothing is lost, reordered or
// invented.
TEST(TemplateTest, WritingThePartsGivesTheSamePartsAgain) {
  EXPECT_TRUE(rc::check("round trip", [] {
    const auto pieces = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
        "{{key}}", "{{{{", "}}", "{ ", "}", "x", "\n", "é", "{{a.b|json}}", " "));
    std::string text;
    for (const auto& piece : pieces) text += piece;
    const auto parts = ParseTemplate(text);
    RC_ASSERT(parts.ok());
    std::string rendered, expected;
    for (const auto& part : *parts) {
      if (part.kind == TemplatePart::Kind::kLiteral) {
        RC_ASSERT(!part.text.empty());
        rendered += part.text;
      } else {
        rendered += "<" + part.text + "|" + part.filter + ">";
      }
    }
    for (const auto& piece : pieces) {
      expected += piece == "{{key}}"        ? "<key|>"
                  : piece == "{{a.b|json}}" ? "<a.b|json>"
                  : piece == "{{{{"         ? "{{"
                                            : piece;
    }
    RC_ASSERT(rendered == expected);
  }));
}

TEST(TemplateTest, AnyBytesGivePartsOrAnError) {
  EXPECT_TRUE(rc::check("no crash", [] {
    const auto text = *rc::gen::container<std::string>(rc::gen::weightedOneOf<char>(
        {{3, rc::gen::element('{', '}', '|', 'a', ' ')}, {1, rc::gen::arbitrary<char>()}}));
    const auto parts = ParseTemplate(text);
    if (!parts.ok()) RC_ASSERT(parts.error().message.starts_with("line "));
  }));
}

}  // namespace
}  // namespace backfill
