#pragma once

#include <string_view>

namespace backfill::rows {

// Well-formed UTF-8 as in Unicode: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

}  // namespace backfill::rows
