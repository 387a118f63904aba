#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/plan/plan.h"

namespace backfill::plan {

// How to cut. records_per_shard 0: chosen, between 4 shards per worker and 10,000 shards, 1,000
// records or more each.
struct Cutting {
  std::int64_t records_per_shard = 0;
  int workers = 1;
};

// The size that `Cutting` asks for when the source has `records` records. At least 1; never more
// than kMaxShards shards.
std::uint64_t ChooseRecordsPerShard(const Cutting& cutting, std::uint64_t records);

// Knows where the records of one kind of source are. Cut() may read the source once, in constant
// memory, and may be called on any thread.
class SourcePlanner {
 public:
  virtual ~SourcePlanner() = default;
  // Errors: kInvalid (more than kMaxShards shards: says which recordsPerShard would do; a file that
  // cannot be read as it is declared),
  // kUnavailable, kAborted on stop.
  virtual Result<std::vector<PlannedShard>> Cut(const Cutting& cutting, std::stop_token stop) = 0;
  // What Cut() learnt, if the source is a file.
  [[nodiscard]] virtual std::optional<FileFacts> file() const { return std::nullopt; }
};

class RangePlanner final : public SourcePlanner {
 public:
  explicit RangePlanner(Range range) : range_(range) {}
  Result<std::vector<PlannedShard>> Cut(const Cutting& cutting, std::stop_token stop) override;

 private:
  const Range range_;
};

// Positions are indexes into the list.
class KeysPlanner final : public SourcePlanner {
 public:
  explicit KeysPlanner(std::size_t keys) : keys_(keys) {}
  Result<std::vector<PlannedShard>> Cut(const Cutting& cutting, std::stop_token stop) override;

 private:
  const std::size_t keys_;
};

// Cuts, counts and hashes.
Result<Plan> MakePlan(SourcePlanner& source, const Cutting& cutting,
                      std::string_view canonical_work, std::stop_token stop);

}  // namespace backfill::plan
