#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "rows/extent.h"
#include "worker/engine/record.h"

namespace backfill::worker {

// Where records come from. One thread makes all calls; what a call gives depends on its arguments
// alone, so a shard can be read again by anyone.
class Source {
 public:
  virtual ~Source() = default;

  // The first records of the range, one at least, in order of position and without gaps. The caller
  // asks for no more than it wants to hold in memory.
  // kInvalid: the source has no such positions. kUnavailable: they are not there yet; ask again.
  virtual Result<std::vector<Record>> Read(const Range& range) = 0;

  // Where the records of a lease lie, if that was planned: before the first of them is read.
  virtual void Know(const rows::Extent& extent) { (void)extent; }
  // Why it gives nothing: kUnavailable (it tries again), kConflict (it is not what was planned).
  [[nodiscard]] virtual std::optional<Error> trouble() const { return std::nullopt; }

  // What Record::fields are called.
  [[nodiscard]] virtual const std::vector<std::string>& field_names() const {
    static const std::vector<std::string> kNone;
    return kNone;
  }
  // Record::raw is the JSON object that a record is.
  [[nodiscard]] virtual bool raw_records() const { return false; }
  // Keys are whole numbers, and JSON literals of them are numbers.
  [[nodiscard]] virtual bool numeric_keys() const = 0;
};

}  // namespace backfill::worker
