#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base/result.h"
#include "operator/kube/client/json_fields.h"

namespace backfill::kube {

// What is around the object whose depth counts.
enum class Envelope { kNone, kEvent, kList };

struct BoundedJson {
  nlohmann::json value;
  // Something in it was too deep, and is missing.
  bool too_deep = false;
  // The same, of a list, by item: one user's object must not hide those of all others.
  std::set<std::size_t> deep_items;
};

// For the few files that include nlohmann anyway; others use ParseJson.
Result<BoundedJson> ParseBounded(std::string_view text, Envelope envelope);

}  // namespace backfill::kube
