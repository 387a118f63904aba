#pragma once

#include <cstddef>
#include <map>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "operator/throttle/observation.h"

namespace backfill::observe {

// What there is of each partition of a target, by the value of the label. At most kMaxPartitions.
using PartitionObservations = std::map<std::string, throttle::Observation>;
inline constexpr std::size_t kMaxPartitions = 64;
inline constexpr std::size_t kMaxPartitionName = 64;  // bytes

struct Reply {
  throttle::Observation observation;
  // Of a query with a partition label that was answered; else empty.
  PartitionObservations partitions = {};
  // Nobody answered, or who answered serves nobody: other questions to the same provider are likely
  // to end in the same way. Not set when only this question is at fault.
  bool provider_failed = false;
};

// Where the value of one metric comes from. Knows one question, and asks it when told to.
//
// Blocks the calling thread, until the deadline at most or soon after a stop. Asked by one thread
// at a time, though not always by the same. Whatever goes wrong is an answer (kError with a detail
// that people can read and that holds no secret), so nothing is ever taken for a number that is
// none.
class Source {
 public:
  virtual ~Source() = default;
  virtual Reply Ask(Time deadline, const std::stop_token& stop) = 0;
};

}  // namespace backfill::observe
