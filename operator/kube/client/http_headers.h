#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace backfill::kube {

// How long a server that holds us off may do so (R34).
inline constexpr std::chrono::milliseconds kMaxRetryAfter = std::chrono::seconds(60);

// Seconds, or a date as RFC 9110 writes it today; at most kMaxRetryAfter, 0 for the past. Nothing:
// neither. Pure.
std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, WallTime now);

// The texts of a Warning header, of which several may have been joined: 299 - "unknown field
// \"spec.x\"". At most 32, each of at most 512 bytes. Pure.
std::vector<std::string> ParseWarnings(std::string_view value);

}  // namespace backfill::kube
