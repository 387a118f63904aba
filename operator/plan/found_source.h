#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/result.h"
#include "operator/plan/plan.h"
#include "operator/plan/source_planner.h"
#include "rows/extent.h"

namespace backfill::plan {

// What somebody else has found in a source: how it is cut, and what else planning learnt of it.
struct FoundSource {
  std::vector<PlannedShard> shards{};
  FileFacts facts{};
  bool operator==(const FoundSource&) const = default;
};

// Takes in what a worker found, part by part. Whoever sends it may be anybody's program, so nothing
// is believed that everything behind a plan relies on: shards follow each other without gap or
// overlap, in positions and in bytes, and there are at most kMaxShards. Not thread-safe.
class FoundSourceIntake {
 public:
  // The next shards; `first`: how many came before them. kInvalid: they do not follow.
  Status Add(std::uint64_t first, const std::vector<rows::Extent>& shards);
  // That was all: so many shards and records. kInvalid: it does not add up, or is too much.
  Result<FoundSource> End(std::uint64_t shards, std::uint64_t records, FileFacts facts);

 private:
  std::vector<PlannedShard> shards_;
  std::uint64_t end_offset_ = 0;
  std::uint64_t line_ = 0;
};

// A source that has been looked at already: MakePlan() of it is the plan that whoever looked would
// have made.
class FoundPlanner final : public SourcePlanner {
 public:
  explicit FoundPlanner(FoundSource found) : found_(std::move(found)) {}
  Result<std::vector<PlannedShard>> Cut(const Cutting& /*cutting*/,
                                        std::stop_token /*stop*/) override {
    return found_.shards;
  }
  [[nodiscard]] std::optional<FileFacts> file() const override { return found_.facts; }

 private:
  const FoundSource found_;
};

}  // namespace backfill::plan
