#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "worker/engine/record.h"

namespace backfill::worker {

// Where records come from. One thread makes all calls; what a call gives depends on its arguments
// alone, so a shard can be read again by anyone.
class Source {
 public:
  virtual ~Source() = default;

  // All records of the range, in order of position and without gaps. The caller asks for no more
  // than it wants to hold in memory.
  // kInvalid: the source has no such positions. kUnavailable: try again.
  virtual Result<std::vector<Record>> Read(const Range& range) = 0;

  // What Record::fields are called.
  [[nodiscard]] virtual const std::vector<std::string>& field_names() const {
    static const std::vector<std::string> kNone;
    return kNone;
  }
  // Keys are whole numbers, and JSON literals of them are numbers.
  [[nodiscard]] virtual bool numeric_keys() const = 0;
};

}  // namespace backfill::worker
