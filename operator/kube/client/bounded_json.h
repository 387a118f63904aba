#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"
#include "operator/kube/client/json_fields.h"

namespace backfill::kube {

// What is around the object whose depth counts.
enum class Envelope { kNone, kEvent, kList };

struct BoundedJson {
  nlohmann::json value;
  // Something in it was too deep, and is missing. Of a list: something outside of its items.
  bool too_deep = false;
};

// Gets the items of a list one by one, and none is kept: a list of all there is may come in a
// single page, and as JSON it would take ten times its text. `too_deep`: something in it is
// missing. One user's object must not hide those of all others.
using OnListItem = std::function<void(const nlohmann::json& item, bool too_deep)>;

// For the few files that include nlohmann anyway; others use ParseJson. `on_item` is for lists and
// must not throw; what it was given counts only if all of the text turns out to be JSON.
Result<BoundedJson> ParseBounded(std::string_view text, Envelope envelope,
                                 const OnListItem& on_item = {});

}  // namespace backfill::kube
