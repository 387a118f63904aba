#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/nearest.h"
#include "operator/api/schema.h"

namespace backfill::api {

using backfill::Nearest;

// The path of the map that has a field of exactly this name, if there is only one: "spec.workers".
std::optional<std::string> FindField(const Schema& root, std::string_view name);

// A hint for a string that stands where another type belongs: "; remove the quotes". Empty: there
// is none.
std::string HowToWrite(const Schema& schema, std::string_view text);

}  // namespace backfill::api
