#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"

namespace backfill::plan {

struct PlannedShard {
  Range range;
  std::uint64_t records = 0;
  bool operator==(const PlannedShard&) const = default;
};

// The frozen list of shards. Ranges are sorted, do not overlap and leave no gap inside the source.
struct Plan {
  std::vector<PlannedShard> shards{};
  std::uint64_t records = 0;
  std::string hash{};  // "sha256:" + 64 hex digits over the canonical form of work and shards
};

inline constexpr std::int64_t kMaxShards = 100'000;

// sha256 over `canonical_work` (api::CanonicalWork) and the shards; the same on any machine.
std::string PlanHash(std::string_view canonical_work, const std::vector<PlannedShard>& shards);

}  // namespace backfill::plan
