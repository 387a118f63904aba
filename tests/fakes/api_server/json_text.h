#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace backfill::fakes {

using Json = nlohmann::json;

// Absent: no JSON, or nested deeper than 64 levels.
std::optional<Json> ParseJson(std::string_view text);

// One line; what is not UTF-8 becomes U+FFFD.
std::string Dump(const Json& json);

// The text or the member at a path of members, such as {"metadata", "name"}; "" and nullptr when
// something on the way is not there or of another type.
std::string TextAt(const Json& json, std::initializer_list<const char*> path);
const Json* At(const Json& json, std::initializer_list<const char*> path);

}  // namespace backfill::fakes
