#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "rows/format.h"

namespace backfill::rows {

inline bool IsKeySize(std::size_t bytes) { return bytes - 1 < kMaxKeyBytes; }

// A key is 1 to kMaxKeyBytes bytes without control characters (below U+0020, and U+007F): it goes
// into headers, which cannot carry them, and into logs. It does not begin with a byte order mark,
// which nobody sees and no target knows.
bool IsKey(std::string_view key);

// What is wrong with it, to follow "the column id": "is empty". Nothing if IsKey(key).
std::optional<std::string> KeyProblem(std::string_view key);

}  // namespace backfill::rows
