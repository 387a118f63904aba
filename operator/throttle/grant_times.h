#pragma once

#include <chrono>

#include "base/clock.h"

namespace backfill::throttle {

// Of the grants of a rate to workers.
struct GrantTimes {
  // From the sending of the message that it answers; then the worker stops.
  Duration ttl = std::chrono::seconds(30);
  Duration refresh =
      std::chrono::seconds(5);  // renewed this often, +-20 %, or at once when lowered

  bool operator==(const GrantTimes&) const = default;
};

// No leader grants for longer: a worker that hears nothing gives its shards back then (fencing).
inline constexpr Duration kMostGrantTtl = std::chrono::seconds(50);

}  // namespace backfill::throttle
