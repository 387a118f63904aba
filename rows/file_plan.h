#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "rows/byte_source.h"
#include "rows/duplicate_counter.h"
#include "rows/extent.h"
#include "rows/format.h"

namespace backfill::rows {

struct PlanProgress {
  std::uint64_t bytes_read = 0;  // as stored
  std::optional<std::uint64_t> bytes_total = std::nullopt;
  std::uint64_t records = 0;
};

struct PlanOptions {
  // As asked for; 0: `choose` says it once the number of records is known.
  std::uint64_t records_per_shard = 0;
  std::function<std::uint64_t(std::uint64_t records)> choose = nullptr;
  std::uint64_t max_shards = 100'000;
  // Called every few megabytes, on the same thread.
  std::function<void(const PlanProgress&)> progress = nullptr;
};

struct FilePlan {
  std::vector<Extent> shards = {};
  FileShape shape = {};
  std::uint64_t records = 0;                    // with the bad ones
  std::uint64_t bytes = 0;                      // decompressed
  std::array<std::uint64_t, kFaults> bad = {};  // by Fault; they are records that fail
  std::vector<std::string> bad_samples = {};    // the first ones, in words
  DuplicateCount duplicates = {};

  [[nodiscard]] std::uint64_t bad_records() const;
};

// Reads the file in memory that does not grow with it, and cuts it into shards. Reads it once, but
// for keys that were in order and then are not: to count repeated ones, a local file is read again
// up to there.
// kInvalid: what the format says does not fit the file (no such column, a header without names),
// too many shards (says which recordsPerShard would do), or corrupt compression. Else as the
// source; kAborted on stop.
Result<FilePlan> PlanFile(ByteSource& source, const FileFormat& format, const PlanOptions& options,
                          const std::stop_token& stop);

// The names in the header of a kCsv file, without reading much further. kInvalid as above.
Result<std::vector<std::string>> ReadHeader(ByteSource& source, const FileFormat& format,
                                            const std::stop_token& stop);

}  // namespace backfill::rows
