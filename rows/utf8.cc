#include "rows/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace backfill::rows {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080;

std::uint64_t Load64(const char* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// The length of the sequence at p, of which `left` bytes are there; 0 if it is none.
std::size_t SequenceLength(const unsigned char* p, std::size_t left) {
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return i < left && p[i] >= low && p[i] <= high;
  };
  const unsigned char lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return follows(1) ? 2 : 0;
  if (lead < 0xF0) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : 0xBF;
    return follows(1, low, high) && follows(2) ? 3 : 0;
  }
  if (lead > 0xF4) return 0;
  const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
  return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  const char* p = text.data();
  std::size_t left = text.size();
  while (left > 0) {
    // Most text is ASCII for long stretches.
    while (left >= 32 &&
           ((Load64(p) | Load64(p + 8) | Load64(p + 16) | Load64(p + 24)) & kHighBits) == 0) {
      p += 32;
      left -= 32;
    }
    for (std::size_t stretch = left < 32 ? left : 32; stretch > 0;) {
      const std::size_t length = SequenceLength(reinterpret_cast<const unsigned char*>(p), left);
      if (length == 0) return false;
      p += length;
      left -= length;
      stretch -= length < stretch ? length : stretch;
    }
  }
  return true;
}

}  // namespace backfill::rows
