#include "worker/source/range_source.h"

#include <charconv>

namespace backfill::worker {

Result<std::vector<Record>> RangeSource::Read(const Range& range) {
  std::vector<Record> records;
  if (range.empty()) return records;
  records.reserve(range.size());
  for (Position p = range.begin; p < range.end; ++p) {
    Record& record = records.emplace_back();
    record.position = p;
    char digits[24];
    record.key.assign(digits, std::to_chars(digits, digits + sizeof digits, p).ptr);
  }
  return records;
}

}  // namespace backfill::worker
