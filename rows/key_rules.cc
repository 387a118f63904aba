#include "rows/key_rules.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "rows/unaligned.h"

namespace backfill::rows {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighBits = 0x8080808080808080;

// Whether a byte is below 0x20 or 0x7F. May say yes for others too, behind a byte that is.
bool MayHoldControl(std::uint64_t word) {
  const std::uint64_t below = (word - kOnes * 0x20) & ~word;
  const std::uint64_t del = word ^ (kOnes * 0x7F);
  return ((below | ((del - kOnes) & ~del)) & kHighBits) != 0;
}

bool MayHoldControl(std::string_view key) {
  const char* p = key.data();
  const std::size_t size = key.size();
  if (size >= 8) {
    for (std::size_t i = 0; i + 8 < size; i += 8) {
      if (MayHoldControl(LoadUnaligned<std::uint64_t>(p + i))) return true;
    }
    return MayHoldControl(LoadUnaligned<std::uint64_t>(p + size - 8));
  }
  if (size >= 4) {
    return MayHoldControl(std::uint64_t{LoadUnaligned<std::uint32_t>(p)} << 32 |
                          LoadUnaligned<std::uint32_t>(p + size - 4));
  }
  return std::any_of(p, p + size, IsControl);
}

}  // namespace

bool IsKey(std::string_view key) {
  return IsPlainKey(key) &&
         !(MayHoldControl(key) && std::any_of(key.begin(), key.end(), IsControl));
}

std::optional<std::string> KeyProblem(std::string_view key) {
  if (key.empty()) return "is empty";
  if (key.size() > kMaxKeyBytes) {
    return "has " + std::to_string(key.size()) + " bytes, a key at most " +
           std::to_string(kMaxKeyBytes);
  }
  if (key.starts_with(kByteOrderMark))
    return "begins with a byte order mark (U+FEFF), as where files were joined";
  const auto* const control = std::find_if(key.begin(), key.end(), IsControl);
  if (control == key.end()) return std::nullopt;
  char code[8];
  std::snprintf(code, sizeof code, "U+%04X",
                static_cast<unsigned>(static_cast<unsigned char>(*control)));
  return std::string("holds the control character ") + code;
}

}  // namespace backfill::rows
