#include "operator/plan/source_planner.h"

#include <algorithm>
#include <string>
#include <utility>

namespace backfill::plan {
namespace {

constexpr std::uint64_t kPreferredSize = 10'000;
constexpr std::uint64_t kSmallestSize = 1'000;
constexpr std::uint64_t kMostChosenShards = 10'000;
constexpr std::uint64_t kShardsPerWorker = 4;

std::uint64_t DivideUp(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// Cuts a dense range: every position is a record.
Result<std::vector<PlannedShard>> CutRange(Range range, const Cutting& cutting,
                                           const std::stop_token& stop) {
  if (range.end < range.begin) return Error{ErrorCode::kInvalid, "the range ends before it begins"};
  const std::uint64_t size = ChooseRecordsPerShard(cutting, range.size());
  const std::uint64_t shards = DivideUp(range.size(), size);
  constexpr auto kMost = static_cast<std::uint64_t>(kMaxShards);
  if (shards > kMost) {
    return Error{ErrorCode::kInvalid,
                 std::to_string(range.size()) + " records in shards of " + std::to_string(size) +
                     " make " + std::to_string(shards) + " shards; at most " +
                     std::to_string(kMost) + " are allowed: set recordsPerShard to " +
                     std::to_string(DivideUp(range.size(), kMost)) + " or more"};
  }
  std::vector<PlannedShard> cut;
  cut.reserve(shards);
  for (std::uint64_t offset = 0; offset < range.size();) {
    if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped while planning"};
    const std::uint64_t n = std::min(size, range.size() - offset);
    cut.push_back(
        {.range = {Advance(range.begin, offset), Advance(range.begin, offset + n)}, .records = n});
    offset += n;
  }
  return cut;
}

// What a planner must have kept, since everything behind it relies on it.
Status CheckShards(const std::vector<PlannedShard>& shards) {
  if (std::cmp_greater(shards.size(), kMaxShards)) {
    return Error{ErrorCode::kInternal, "the planner made too many shards"};
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (shards[i].range.empty())
      return Error{ErrorCode::kInternal, "the planner made an empty shard"};
    if (i > 0 && shards[i].range.begin != shards[i - 1].range.end) {
      return Error{ErrorCode::kInternal, "the planner left a gap or an overlap between shards"};
    }
  }
  return Ok{};
}

}  // namespace

std::uint64_t ChooseRecordsPerShard(const Cutting& cutting, std::uint64_t records) {
  if (cutting.records_per_shard > 0) return static_cast<std::uint64_t>(cutting.records_per_shard);
  const auto workers = static_cast<std::uint64_t>(std::max(cutting.workers, 1));
  const std::uint64_t enough_for_all = records / (kShardsPerWorker * workers);
  const std::uint64_t not_too_many = DivideUp(records, kMostChosenShards);
  return std::max({std::min(kPreferredSize, enough_for_all), kSmallestSize, not_too_many});
}

Result<std::vector<PlannedShard>> RangePlanner::Cut(const Cutting& cutting, std::stop_token stop) {
  return CutRange(range_, cutting, stop);
}

Result<std::vector<PlannedShard>> KeysPlanner::Cut(const Cutting& cutting, std::stop_token stop) {
  return CutRange({0, static_cast<Position>(keys_)}, cutting, stop);
}

Result<Plan> MakePlan(SourcePlanner& source, const Cutting& cutting,
                      std::string_view canonical_work, std::stop_token stop) {
  Plan plan;
  plan.shards = TRY(source.Cut(cutting, std::move(stop)));
  TRY(CheckShards(plan.shards));
  for (const PlannedShard& s : plan.shards) {
    if (__builtin_add_overflow(plan.records, s.records, &plan.records)) {
      return Error{ErrorCode::kInternal, "the planner counted more records than fit"};
    }
  }
  plan.file = source.file();
  plan.hash = PlanHash(canonical_work, plan.shards, plan.file ? &plan.file->shape : nullptr);
  return plan;
}

}  // namespace backfill::plan
