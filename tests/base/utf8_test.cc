#include "base/utf8.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

namespace backfill {
namespace {

TEST(Utf8Test, KnowsCharactersOfEveryLength) {
  EXPECT_EQ(FirstCharacter("a").code, U'a');
  EXPECT_EQ(FirstCharacter("ä").code, U'ä');
  EXPECT_EQ(FirstCharacter("€").code, U'€');
  EXPECT_EQ(FirstCharacter("😀").code, U'😀');
  EXPECT_EQ(FirstCharacter("😀").bytes, 4U);
  EXPECT_EQ(CountCharacters("aä€😀"), 4U);
}

TEST(Utf8Test, RefusesWhatOnlyLooksLikeACharacter) {
  const char* const bad[] = {"\x80",
                             "\xC0\xAF",
                             "\xC3",
                             "\xE0\x80\xAF",
                             "\xED\xA0\x80",
                             "\xF0\x80\x80\xAF",
                             "\xF4\x90\x80\x80",
                             "\xF8\x88\x80\x80\x80",
                             "\xFF"};
  for (const std::string text : bad) {
    EXPECT_EQ(FirstCharacter(text).code, kNoCharacter);
    EXPECT_EQ(ValidUtf8Prefix("ok" + text), 2U);
  }
}

TEST(Utf8Test, CutsBetweenCharacters) {
  EXPECT_EQ(CutToBytes("aä€", 6), "aä€");
  EXPECT_EQ(CutToBytes("aä€", 5), "aä");
  EXPECT_EQ(CutToBytes("aä€", 2), "a");
  EXPECT_EQ(CutToBytes("😀", 3), "");
}

TEST(Utf8Test, WhateverIsCutStaysValid) {
  EXPECT_TRUE(rc::check("cut", [] {
    const auto words = *rc::gen::container<std::vector<std::string>>(
        rc::gen::element<std::string>("a", "ä", "€", "😀"));
    std::string text;
    for (const auto& word : words) text += word;
    const auto bytes = *rc::gen::inRange<std::size_t>(0, 50);
    const auto cut = CutToBytes(text, bytes);
    RC_ASSERT(cut.size() <= bytes);
    RC_ASSERT(ValidUtf8Prefix(cut) == cut.size());
    RC_ASSERT(text.size() - cut.size() < 4 || cut.size() + 4 > bytes);
  }));
}

}  // namespace
}  // namespace backfill
