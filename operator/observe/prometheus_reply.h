#pragma once

#include <string>
#include <string_view>

#include "operator/observe/query.h"
#include "operator/throttle/observation.h"

namespace backfill::observe {

// What Prometheus answered to an instant query.
struct QueryReply {
  throttle::Answer answer = throttle::Answer::kError;
  double value = 0;         // of kValue only
  double evaluated_at = 0;  // when, in seconds since the epoch by Prometheus' clock; likewise
  std::string detail = {};  // of kValue: what it warned of
  bool provider_failed = false;
};

// Reads any response to /api/v1/query: a vector or a scalar makes a number, several series do if
// `reduce` says how. NaN and infinity are kNotANumber, also as one of several: what one replica
// does not know must not vanish in a maximum. Hostile text ends in kError. Pure.
QueryReply ReadQueryReply(int status, std::string_view body, Reduce reduce);

}  // namespace backfill::observe
