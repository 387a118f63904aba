#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "operator/api/throttle.h"

namespace backfill::report {

// What a governor did over a whole run, in bounded room: the first changes and the latest ones.
struct ThrottleTimeline {
  std::vector<api::ThrottleChange> changes;  // by time
  std::uint64_t left_out = 0;                // between the first and the latest ones

  bool operator==(const ThrottleTimeline&) const = default;
};

inline constexpr std::size_t kFirstThrottleChanges = 20;
inline constexpr std::size_t kMaxThrottleChanges = 120;

// Pure. Texts are cut to what a line of a report has room for.
void Append(ThrottleTimeline& timeline, const std::vector<api::ThrottleChange>& changes);

}  // namespace backfill::report
