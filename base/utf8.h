#pragma once

#include <cstddef>
#include <string_view>

// UTF-8, as far as bounds and borders need it. Pure.
namespace backfill {

inline constexpr char32_t kNoCharacter = 0x110000;  // one above the last

struct Character {
  char32_t code = kNoCharacter;  // kNoCharacter: the first byte begins no character
  std::size_t bytes = 1;
};
// Of a text that is not empty. Overlong forms, surrogates and what lies beyond U+10FFFF are no
// characters.
Character FirstCharacter(std::string_view text);

// The length of the longest prefix that is valid UTF-8: text.size() if all of it is.
std::size_t ValidUtf8Prefix(std::string_view text);

// Of valid UTF-8.
std::size_t CountCharacters(std::string_view text);

// The longest prefix of at most `bytes` bytes that does not end inside a character.
std::string_view CutToBytes(std::string_view text, std::size_t bytes);

}  // namespace backfill
