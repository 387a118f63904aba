#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "operator/api/node.h"

namespace backfill::api {

// What the store holds, as nodes without places. kInvalid: no JSON object, or nested deeper than 64
// levels.
Result<Node> ParseJsonObject(std::string_view text);

bool IsJsonObject(std::string_view text);

enum class MemberOrder { kAsGiven, kSorted };

// `indent` blanks a level; -1: one line without blanks. Invalid UTF-8 becomes U+FFFD.
std::string WriteJson(const Node& node, int indent, MemberOrder order);

}  // namespace backfill::api
