#include "cli/terminal_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

namespace backfill::cli {
namespace {

using testing::ElementsAre;

TEST(PrintableTest, LeavesVisibleTextAlone) {
  EXPECT_EQ(Printable("order 17: déjà vu, 注文"), "order 17: déjà vu, 注文");
}

TEST(PrintableTest, DisarmsEscapeSequences) {
  EXPECT_EQ(Printable("\x1b[2Jgone\x1b]0;title\x07"), "\\x1b[2Jgone\\x1b]0;title\\x07");
  EXPECT_EQ(Printable("a\r\nb\tc"), "a\\r\\nb\\tc");
  EXPECT_EQ(Printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(PrintableTest, DisarmsTheEightBitControlsThatSomeTerminalsObey) {
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J"),
            "\\u009b2J");  // CSI in UTF-8
  EXPECT_EQ(Printable("\x9b"
                      "2J"),
            "\\x9b2J");  // CSI as a byte
  EXPECT_EQ(Printable("\x7f"), "\\u007f");
}

TEST(PrintableTest, ShowsWhatTurnsOrHidesText) {
  EXPECT_EQ(Printable("\u202egnp.exe"), "\\u202egnp.exe");
  EXPECT_EQ(Printable("a\u200bb\ufeff"), "a\\u200bb\\ufeff");
  EXPECT_EQ(Printable("\U000e0041"), "\\udb40\\udc41");
}

TEST(PrintableTest, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(Printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(Printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(Printable("\xe2\x82"), "\\xe2\\x82");           // cut
}

TEST(PrintableTest, NeverLetsAControlByteThrough) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    const std::string shown = Printable(text);
    RC_ASSERT(std::none_of(shown.begin(), shown.end(), [](char c) {
      const auto u = static_cast<unsigned char>(c);
      return u < 0x20 || u == 0x7f;
    }));
    RC_ASSERT(Printable(shown) == shown);
  }));
}

TEST(PrintableTest, KeepsTheLinesOfAText) {
  EXPECT_EQ(PrintableLines("{\n  \"a\": \"\xc2\x9b\"\n}\n"), "{\n  \"a\": \"\\u009b\"\n}\n");
  EXPECT_EQ(PrintableLines("a\x1b\nb"), "a\\x1b\nb");
}

TEST(FitTest, CutsWithDotsWhereThereIsRoom) {
  EXPECT_EQ(Fit("reprice", 7), "reprice");
  EXPECT_EQ(Fit("reprice", 6), "rep...");
  EXPECT_EQ(Fit("reprice", 3), "rep");
  EXPECT_EQ(Fit("reprice", 0), "");
}

TEST(FitTest, CountsWideCharactersTwice) {
  EXPECT_EQ(Columns("注文"), 4U);
  EXPECT_EQ(Columns("déjà"), 4U);
  EXPECT_EQ(Fit("注文注文", 7), "注文...");
}

TEST(FitTest, NeverExceedsItsWidthNorSplitsACharacter) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    const std::string shown = Printable(text);
    const auto width = *rc::gen::inRange<std::size_t>(0, 40);
    const std::string fit = Fit(shown, width);
    RC_ASSERT(Columns(fit) <= width);
    RC_ASSERT(Printable(fit) == fit);
  }));
}

TEST(WrapTest, BreaksBetweenWords) {
  EXPECT_THAT(Wrap("one two three four", 9, 4), ElementsAre("one two", "three", "four"));
  EXPECT_THAT(Wrap("one two three four", 9, 2), ElementsAre("one two", "three ..."));
  EXPECT_THAT(Wrap("indivisible", 6, 4), ElementsAre("ind..."));
  EXPECT_THAT(Wrap("", 6, 4), ElementsAre());
}

TEST(WrapTest, NeverExceedsItsBounds) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    const auto width = *rc::gen::inRange<std::size_t>(1, 40);
    const auto lines = Wrap(Printable(text), width, 3);
    RC_ASSERT(lines.size() <= 3);
    for (const std::string& line : lines) RC_ASSERT(Columns(line) <= width);
  }));
}

TEST(PaintTest, ColorsOnlyWhenEnabled) {
  EXPECT_EQ(Paint("Failed", Color::kRed, true), "\x1b[31mFailed\x1b[0m");
  EXPECT_EQ(Paint("Failed", Color::kRed, false), "Failed");
  EXPECT_EQ(Paint("plain", Color::kNone, true), "plain");
}

}  // namespace
}  // namespace backfill::cli
