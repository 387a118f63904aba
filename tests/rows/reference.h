#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "rows/format.h"

namespace backfill::rows {

inline const FileFormat kCsvById{.format = Format::kCsv, .key = "id"};

// What a file holds, found one byte at a time with the whole of it in memory: slow and simple, to
// compare with.
struct ReferenceRow {
  std::uint64_t offset = 0;
  std::uint64_t end = 0;
  std::uint64_t line = 0;
  std::string text = {};                  // empty if it is too long
  std::vector<std::string> columns = {};  // kCsv, undoubled, if nothing is wrong with the quotes
  Fault fault = Fault::kNone;             // kTooLong or kQuotes
  bool operator==(const ReferenceRow&) const = default;
};

std::vector<ReferenceRow> ReadByReference(const std::string& file, Format format, char delimiter);

void PrintTo(const ReferenceRow& row, std::ostream* out);

}  // namespace backfill::rows
