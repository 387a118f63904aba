#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "operator/api/node.h"

namespace backfill::api {

// What the store holds, as nodes without places. kInvalid: no JSON object, or nested deeper than 64
// levels.
Result<Node> ParseJsonObject(std::string_view text);

// Why a text is no JSON: the bytes before the place, and what is wrong there.
struct JsonFault {
  std::size_t at = 0;
  std::string message;
};
// Absent: it is JSON.
std::optional<JsonFault> FindJsonFault(std::string_view text);

enum class MemberOrder { kAsGiven, kSorted };

// `indent` blanks a level; -1: one line without blanks. Invalid UTF-8 becomes U+FFFD.
std::string WriteJson(const Node& node, int indent, MemberOrder order);

}  // namespace backfill::api
