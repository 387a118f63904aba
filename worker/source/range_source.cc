#include "worker/source/range_source.h"

namespace backfill::worker {

Result<std::vector<Record>> RangeSource::Read(const Range& range) {
  std::vector<Record> records;
  if (range.empty()) return records;
  records.reserve(range.size());
  for (Position p = range.begin; p < range.end; ++p) {
    records.push_back({.position = p, .key = std::to_string(p)});
  }
  return records;
}

}  // namespace backfill::worker
