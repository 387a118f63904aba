#pragma once

#include <string>
#include <string_view>

#include "operator/observe/query.h"
#include "operator/observe/source.h"
#include "operator/throttle/observation.h"

namespace backfill::observe {

// What Prometheus answered to an instant query.
struct QueryReply {
  throttle::Answer answer = throttle::Answer::kError;
  double value = 0;         // of kValue only
  double evaluated_at = 0;  // when, in seconds since the epoch by Prometheus' clock; likewise
  std::string detail = {};  // of kValue: what it warned of
  PartitionObservations partitions = {};  // without times
  bool provider_failed = false;
};

// Reads any response to /api/v1/query: a vector or a scalar makes a number, several series do if
// `reduce` says how. NaN and infinity are kNotANumber, also as one of several: what one replica
// does not know must not vanish in a maximum. Hostile text ends in kError. Pure.
//
// With a `partition_label` each series is one partition, named by it: no such label, the same name
// twice, a name of no or more than kMaxPartitionName bytes, or more than kMaxPartitions of them is
// kError of all. NaN then concerns its own partition alone, and `value` is what `reduce` makes of
// the others.
QueryReply ReadQueryReply(int status, std::string_view body, Reduce reduce,
                          std::string_view partition_label = {});

}  // namespace backfill::observe
