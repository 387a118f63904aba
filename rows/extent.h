#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/range.h"

namespace backfill::rows {

// Where the rows of a shard lie in the (decompressed) file, and what its bytes were when it was
// planned.
struct Extent {
  Position first = 0;  // index of its first record
  std::uint64_t records = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t line = 1;  // where it begins
  std::uint32_t crc32c = 0;
  bool operator==(const Extent&) const = default;
};

// What else of the file must be as it was planned.
struct FileShape {
  // As stored (compressed, if it is), where that was known without reading.
  std::optional<std::uint64_t> stored_bytes = std::nullopt;
  std::vector<std::string> columns = {};  // kCsv: the header
  bool operator==(const FileShape&) const = default;
};

}  // namespace backfill::rows
