#include "worker/source/keys_source.h"

#include <utility>

namespace backfill::worker {

Result<std::vector<Record>> KeysSource::Read(const Range& range) {
  std::vector<Record> records;
  if (range.empty()) return records;
  if (range.begin < 0 || std::cmp_greater(range.end, keys_.size())) {
    return Error{ErrorCode::kInvalid, "the list has " + std::to_string(keys_.size()) +
                                          " keys, asked for " + std::to_string(range.begin) +
                                          " to " + std::to_string(range.end)};
  }
  records.reserve(range.size());
  for (Position p = range.begin; p < range.end; ++p) {
    records.push_back({.position = p, .key = keys_[static_cast<std::size_t>(p)]});
  }
  return records;
}

}  // namespace backfill::worker
