#include "rows/key_rules.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "rows/format.h"

namespace backfill::rows {
namespace {

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighBits = 0x8080808080808080;

// Whether a byte is below 0x20 or 0x7F. May say yes for others too, behind a byte that is.
bool MayHoldControl(std::uint64_t word) {
  const std::uint64_t below = (word - kOnes * 0x20) & ~word;
  const std::uint64_t del = word ^ (kOnes * 0x7F);
  return ((below | ((del - kOnes) & ~del)) & kHighBits) != 0;
}

bool HoldsControl(std::string_view key) {
  const char* p = key.data();
  std::size_t left = key.size();
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, p, sizeof word);
    if (MayHoldControl(word) && std::any_of(p, p + 8, IsControl)) return true;
  }
  return std::any_of(p, p + left, IsControl);
}

}  // namespace

bool IsKey(std::string_view key) {
  return !key.empty() && key.size() <= kMaxKeyBytes && !HoldsControl(key);
}

std::optional<std::string> KeyProblem(std::string_view key) {
  if (key.empty()) return "is empty";
  if (key.size() > kMaxKeyBytes) {
    return "has " + std::to_string(key.size()) + " bytes, a key at most " +
           std::to_string(kMaxKeyBytes);
  }
  const auto* const control = std::find_if(key.begin(), key.end(), IsControl);
  if (control == key.end()) return std::nullopt;
  char code[8];
  std::snprintf(code, sizeof code, "U+%04X",
                static_cast<unsigned>(static_cast<unsigned char>(*control)));
  return std::string("holds the control character ") + code;
}

}  // namespace backfill::rows
