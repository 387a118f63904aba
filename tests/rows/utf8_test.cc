#include "rows/utf8.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace backfill::rows {
namespace {

// The definition, one code point at a time.
bool IsUtf8ByTheBook(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80         ? 1
                               : (lead >> 5) == 6  ? 2
                               : (lead >> 4) == 14 ? 3
                               : (lead >> 3) == 30 ? 4
                                                   : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t point = length == 1 ? lead : lead & (0x7FU >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto tail = static_cast<unsigned char>(text[i + k]);
      if ((tail >> 6) != 2) return false;
      point = (point << 6) | (tail & 0x3F);
    }
    constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
      return false;
    i += length;
  }
  return true;
}

TEST(Utf8Test, KnowsTheEdgesOfTheStandard) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF"));
  EXPECT_TRUE(IsUtf8("\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"));
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xC1\xBF", "\xC2", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82"})
    EXPECT_FALSE(IsUtf8(bad)) << bad;
}

TEST(Utf8Test, FindsABadByteAnywhereInALongText) {
  for (std::size_t i = 0; i < 100; ++i) {
    std::string text(100, 'a');
    EXPECT_TRUE(IsUtf8(text));
    text[i] = '\x80';
    EXPECT_FALSE(IsUtf8(text)) << i;
  }
}

RC_GTEST_PROP(Utf8Test, AgreesWithTheDefinition, ()) {
  const auto bytes = *rc::gen::container<std::vector<int>>(
      rc::gen::element(0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
                       0xEF, 0xF0, 0xF4));
  std::string text(*rc::gen::inRange<std::size_t>(0, 70), 'a');
  for (const int b : bytes) text += static_cast<char>(b);
  RC_ASSERT(IsUtf8(text) == IsUtf8ByTheBook(text));
}

}  // namespace
}  // namespace backfill::rows
