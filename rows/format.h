#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace backfill::rows {

enum class Format { kLines, kCsv, kNdJson };

// How a file is to be read. What a value means is decided by the format alone, so that the planner
// and every worker see the same records.
struct FileFormat {
  Format format = Format::kLines;
  // The column or member that is the key. kLines has none: the line is the key.
  std::string key = {};
  // Between the columns of a kCsv file: one ASCII character, not a quote and not a line break.
  char delimiter = ',';
  // kNdJson only: the members that become Record::fields, in this order. A row without one of them
  // is bad. The fields of a kCsv file are its columns.
  std::vector<std::string> fields = {};
};

// A longer row (without its line feed) is bad, and ends at the first line feed after this many
// bytes whatever quotes are open: a quote that is never closed costs one stretch, not the file.
inline constexpr std::size_t kMaxRowBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxKeyBytes = 256;
inline constexpr std::size_t kMaxColumns = 4096;
// What a shard may hold; only a longer row, which is bad, stands alone in a larger one.
inline constexpr std::uint64_t kMaxShardBytes = std::uint64_t{4} << 20;
// Readable bytes behind every window, so that rows are looked at in blocks.
inline constexpr std::size_t kPadding = 64;

// Why a row is no record to send.
enum class Fault { kNone, kTooLong, kUtf8, kQuotes, kColumns, kKey, kJson, kField };
inline constexpr std::size_t kFaults = 8;

// In words, for a table: "too long", "not UTF-8", ...
std::string_view ToString(Fault fault);

}  // namespace backfill::rows
