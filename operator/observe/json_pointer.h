#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace backfill::observe {

// A JSON pointer (RFC 6901) taken apart: /a/b~1c is {"a", "b/c"}, "" is {}. kInvalid: not a
// pointer, or one of more than 32 steps. Pure.
Result<std::vector<std::string>> ParseJsonPointer(std::string_view text);

// What it points at; null: nothing. The document must outlive the result.
const nlohmann::json* Find(const nlohmann::json& document, const std::vector<std::string>& pointer);

}  // namespace backfill::observe
