#include "cli/markdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::cli {
namespace {

TEST(MarkdownTest, TextStaysText) {
  EXPECT_EQ(MarkdownText("plain words, 5 %"), "plain words, 5 %");
  EXPECT_EQ(MarkdownText("<img src=x> & [a](b)"), "&lt;img src=x&gt; &amp; \\[a\\]\\(b\\)");
  EXPECT_EQ(MarkdownText("*a* _b_ `c` ~d~ $e$ #1"), "\\*a\\* \\_b\\_ \\`c\\` \\~d\\~ \\$e\\$ \\#1");
}

TEST(MarkdownTest, TextIsOneLineAndEndsNoCell) {
  EXPECT_EQ(MarkdownText("a | b\n# c"), "a \\| b\\\\n\\# c");
}

TEST(MarkdownTest, CodeCannotBeLeft) {
  EXPECT_EQ(MarkdownCode("POST http://a/{{key}}"), "`POST http://a/{{key}}`");
  EXPECT_EQ(MarkdownCode("a`b"), "``a`b``");
  EXPECT_EQ(MarkdownCode("`"), "`` ` ``");
  EXPECT_EQ(MarkdownCode("a|b"), "`a\\|b`");
  EXPECT_EQ(MarkdownCode(""), "");
}

TEST(MarkdownTest, ABlockCannotBeLeft) {
  EXPECT_EQ(MarkdownBlock("a\nb\n"), "```\na\nb\n```\n");
  EXPECT_EQ(MarkdownBlock("```\n<b>"), "````\n```\n<b>\n````\n");
}

TEST(MarkdownTest, ATableHasALineForEachRow) {
  EXPECT_EQ(MarkdownTable({"A", "B"}, {{"1", "2"}, {"3", ""}}),
            "| A | B |\n|---|---|\n| 1 | 2 |\n| 3 | |\n");
}

}  // namespace
}  // namespace backfill::cli
