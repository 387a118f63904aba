#include "operator/api/work_rules.h"

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <string>

namespace backfill::api {
namespace {

using Kind = Node::Kind;

// Everything that counts records counts in int64 somewhere.
void CheckRecords(const Node& root, Problems& problems) {
  const std::optional<Integer> records = CountRecords(root);
  constexpr Integer kMost = std::numeric_limits<std::int64_t>::max();
  if (!records || *records <= kMost) return;
  problems.Add(*root.At("spec.source.range"), "spec.source.range",
               "holds " + ToString(*records) + " records, and at most " + ToString(kMost) +
                   " can be counted; split it into several backfills");
}

void CheckShards(const Node& root, Problems& problems) {
  const Node* size = root.At("spec.sharding.recordsPerShard", Kind::kInteger);
  const std::optional<Integer> records = CountRecords(root);
  if (size == nullptr || size->integer < 1 || !records) return;
  const auto shards = [records](Integer per_shard) {
    return (*records + per_shard - 1) / per_shard;
  };
  if (shards(size->integer) <= kMaxPlannedShards) return;
  const Integer needed = (*records + kMaxPlannedShards - 1) / kMaxPlannedShards;
  problems.Add(*size, "spec.sharding.recordsPerShard",
               "is too small: " + ToString(*records) + " records make " +
                   ToString(shards(size->integer)) + " shards, and there can be " +
                   ToString(kMaxPlannedShards) + "; it must be at least " + ToString(needed));
}

void CheckOutcomes(const Node& root, Problems& problems) {
  static constexpr std::array kLists = {"updated",   "unchanged", "skipped",
                                        "transient", "conflict",  "permanent"};
  const std::string base = "spec.target.http.outcomes";
  const Node* outcomes = root.At(base, Kind::kMap);
  if (outcomes == nullptr) return;
  std::map<Integer, std::string> seen;
  for (const char* name : kLists) {
    const Node* list = outcomes->At(name, Kind::kList);
    for (std::size_t i = 0; list != nullptr && i < list->items.size(); ++i) {
      const Node& code = list->items[i];
      if (!code.Is(Kind::kInteger)) continue;
      const auto [first, fresh] = seen.try_emplace(code.integer, name);
      if (fresh) continue;
      const bool same = first->second == name;
      problems.Add(
          code, JoinIndex(Join(base, name), i),
          "the code " + ToString(code.integer) +
              (same ? " stands twice in this list" : " stands in " + first->second + ", too") +
              "; a code has one outcome");
    }
  }
}

}  // namespace

void CheckWork(const Node& root, Problems& problems) {
  CheckRecords(root, problems);
  CheckShards(root, problems);
  CheckOutcomes(root, problems);
}

std::optional<Integer> CountRecords(const Node& root) {
  const Node* source = root.At("spec.source", Kind::kMap);
  if (source == nullptr || source->Find("failuresOf") != nullptr ||
      (source->Find("range") != nullptr) == (source->Find("keys") != nullptr)) {
    return std::nullopt;
  }
  if (const Node* keys = source->At("keys", Kind::kList)) {
    return static_cast<Integer>(keys->items.size());
  }
  const Node* start = source->At("range.start", Kind::kInteger);
  const Node* end = source->At("range.end", Kind::kInteger);
  if (start == nullptr || end == nullptr || start->integer > end->integer) return std::nullopt;
  return end->integer - start->integer;
}

}  // namespace backfill::api
