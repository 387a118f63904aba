#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace backfill::api {

// The longest range in a PromQL text, such as 2m of rate(a[2m]): what it answers is a mean over so
// long. Of a subquery [1h:1m] it is the 1h. nullopt: there is none. Not a parser: a text that is
// no PromQL gives something or nothing. Pure.
std::optional<std::chrono::milliseconds> LongestRange(std::string_view query);

}  // namespace backfill::api
