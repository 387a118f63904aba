#include "operator/plan/found_source.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "rows/format.h"

namespace backfill::plan {
namespace {

constexpr std::size_t kMaxSamples = 10;
constexpr auto kLastPosition = static_cast<std::uint64_t>(std::numeric_limits<Position>::max());

Error Bad(const std::string& why) { return {ErrorCode::kInvalid, why}; }

Status CheckFacts(const FileFacts& facts, std::uint64_t records, std::uint64_t end_offset) {
  if (facts.bytes < end_offset) return Bad("the shards end behind the file");
  if (facts.shape.columns.size() > rows::kMaxColumns) return Bad("there are too many columns");
  const std::size_t header = std::accumulate(
      facts.shape.columns.begin(), facts.shape.columns.end(), std::size_t{0},
      [](std::size_t bytes, const std::string& column) { return bytes + column.size(); });
  if (header > kMaxHeaderBytes) return Bad("the header is too long");
  if (facts.bad_by_fault.size() > rows::kFaults || facts.bad_samples.size() > kMaxSamples)
    return Bad("there are too many words about bad rows");
  std::uint64_t bad = 0;
  for (const auto& [fault, rows] : facts.bad_by_fault) {
    if (__builtin_add_overflow(bad, rows, &bad)) return Bad("there are too many bad rows");
  }
  if (bad != facts.bad_records || bad > records) return Bad("the bad rows do not add up");
  return Ok{};
}

}  // namespace

Status FoundSourceIntake::Add(std::uint64_t first, const std::vector<rows::Extent>& shards) {
  if (first != shards_.size()) return Bad("a part is missing, or came twice");
  if (shards.size() > static_cast<std::uint64_t>(kMaxShards) - shards_.size())
    return Bad("there are more than " + std::to_string(kMaxShards) + " shards");
  for (const rows::Extent& e : shards) {
    const Position begin = shards_.empty() ? 0 : shards_.back().range.end;
    if (e.first != begin) return Bad("there is a gap or an overlap between shards");
    if (e.records == 0 || e.bytes == 0) return Bad("a shard is empty");
    if (e.records > kLastPosition - static_cast<std::uint64_t>(begin))
      return Bad("there are too many records");
    if (e.offset < end_offset_ || e.bytes > kLastPosition - std::min(e.offset, kLastPosition))
      return Bad("the bytes of shards overlap");
    if (e.line == 0 || e.line < line_) return Bad("the lines of shards do not rise");
    end_offset_ = e.offset + e.bytes;
    line_ = e.line;
    shards_.push_back(
        {.range = {e.first, Advance(e.first, e.records)}, .records = e.records, .extent = e});
  }
  return Ok{};
}

Result<FoundSource> FoundSourceIntake::End(std::uint64_t shards, std::uint64_t records,
                                           FileFacts facts) {
  const std::uint64_t counted =
      shards_.empty() ? 0 : static_cast<std::uint64_t>(shards_.back().range.end);
  if (shards != shards_.size() || records != counted)
    return Bad("the parts are not what was to come");
  TRY(CheckFacts(facts, records, end_offset_));
  return FoundSource{std::move(shards_), std::move(facts)};
}

}  // namespace backfill::plan
