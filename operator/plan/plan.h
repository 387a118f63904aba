#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/range.h"
#include "rows/extent.h"

namespace backfill::plan {

struct PlannedShard {
  Range range;
  std::uint64_t records = 0;
  std::optional<rows::Extent> extent = std::nullopt;  // of a file source: all shards have one
  bool operator==(const PlannedShard&) const = default;
};

// What planning learnt of a file.
struct FileFacts {
  rows::FileShape shape{};
  std::uint64_t bytes = 0;  // decompressed
  std::uint64_t bad_records = 0;
  std::vector<std::pair<std::string, std::uint64_t>> bad_by_fault{};  // "not UTF-8", 3
  std::vector<std::string> bad_samples{};                             // the first ones
  std::uint64_t duplicate_keys = 0;
  bool duplicates_exact = true;
  bool operator==(const FileFacts&) const = default;
};

// The frozen list of shards. Ranges are sorted, do not overlap and leave no gap inside the source.
struct Plan {
  std::vector<PlannedShard> shards{};
  std::uint64_t records = 0;
  std::string hash{};  // "sha256:" + 64 hex digits over the canonical form of work and shards
  std::optional<FileFacts> file{};  // of a file source
};

inline constexpr std::int64_t kMaxShards = 100'000;
// The header of a file travels to every worker and stands in the ledger.
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{64} << 10;

// sha256 over `canonical_work` (api::CanonicalWork) and the shards; the same on any machine.
// Of a file with its extents and its shape, so that it is the file, too, that is reviewed.
std::string PlanHash(std::string_view canonical_work, const std::vector<PlannedShard>& shards,
                     const rows::FileShape* shape = nullptr);

}  // namespace backfill::plan
