#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "rows/format.h"

namespace backfill::rows {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

constexpr bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// A key is 1 to kMaxKeyBytes bytes without control characters (below U+0020, and U+007F): it goes
// into headers, which cannot carry them, and into logs. It does not begin with a byte order mark,
// which nobody sees and no target knows.
bool IsKey(std::string_view key);

// The same of a text that is known to hold no control character.
inline bool IsPlainKey(std::string_view key) {
  return key.size() - 1 < kMaxKeyBytes &&
         (key.front() != kByteOrderMark.front() || !key.starts_with(kByteOrderMark));
}

// What is wrong with it, to follow "the column id": "is empty". Nothing if IsKey(key).
std::optional<std::string> KeyProblem(std::string_view key);

}  // namespace backfill::rows
