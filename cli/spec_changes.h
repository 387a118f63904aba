#pragma once

#include <string>
#include <vector>

#include "operator/api/backfill.h"

namespace backfill::cli {

// One field that differs, with its values as they are written in a file; empty: the field is not
// there.
struct SpecChange {
  std::string path;  // spec.throttle.maxRecordsPerSecond
  std::string before;
  std::string after;
  bool operator==(const SpecChange&) const = default;
};

// The fields of the spec, and the annotations and labels of `after`, that differ; ordered as they
// stand in the resource. What someone else wrote into the annotations and labels of `before` and
// `after` does not mention is no change. Pure.
std::vector<SpecChange> FindSpecChanges(const api::Backfill& before, const api::Backfill& after);

// `declared` as it would stand in the store in place of `stored`: its spec, the other's identity
// and status, and the annotations and labels of both.
api::Backfill Merged(const api::Backfill& stored, const api::Backfill& declared);

// Its texts as they may be shown: printable, cut, values of headers hidden, "(not set)" for none.
SpecChange Shown(const SpecChange& change);

// "spec.throttle.maxRecordsPerSecond: 5000 -> 2000", printable, values cut.
std::string ToString(const SpecChange& change);

}  // namespace backfill::cli
