#include "operator/plan/file_planner.h"

#include <algorithm>
#include <numeric>

#include "rows/csv_parser.h"
#include "rows/open_source.h"
#include "rows/row_parser.h"

namespace backfill::plan {
namespace {

// What no second try heals, as somebody has to do something about it first.
Error WithoutHope(Error error) {
  if (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kPermission ||
      error.code == ErrorCode::kUnauthenticated)
    error.code = ErrorCode::kInvalid;
  return error;
}

FileFacts FactsOf(const rows::FilePlan& plan) {
  FileFacts facts{.shape = plan.shape,
                  .bytes = plan.bytes,
                  .bad_records = plan.bad_records(),
                  .bad_samples = plan.bad_samples,
                  .duplicate_keys = plan.duplicates.keys,
                  .duplicates_exact = plan.duplicates.exact};
  for (std::size_t i = 0; i < plan.bad.size(); ++i) {
    if (plan.bad[i] > 0)
      facts.bad_by_fault.emplace_back(rows::ToString(static_cast<rows::Fault>(i)), plan.bad[i]);
  }
  return facts;
}

}  // namespace

Status FilePlanner::CheckColumns(const std::vector<std::string>& columns) const {
  for (const NeededField& field : needed_) {
    if (std::ranges::find(columns, field.name) != columns.end()) continue;
    return Error{ErrorCode::kInvalid,
                 field.place + ": {{fields." + field.name + "}} is no column of " +
                     rows::ShownPath(path_) + "; its columns are " + rows::Listed(columns) +
                     rows::HintOnColumn(field.name, columns, format_.delimiter)};
  }
  const std::size_t bytes =
      std::accumulate(columns.begin(), columns.end(), std::size_t{0},
                      [](std::size_t n, const std::string& c) { return n + c.size(); });
  if (bytes > kMaxHeaderBytes) {
    return Error{ErrorCode::kInvalid, "the header of " + rows::ShownPath(path_) + " has " +
                                          std::to_string(bytes) + " bytes of names; at most " +
                                          std::to_string(kMaxHeaderBytes) + " are allowed"};
  }
  return Ok{};
}

Result<rows::FilePlan> FilePlanner::Read(const Cutting& cutting,
                                         const std::stop_token& stop) const {
  const auto source = TRY(rows::OpenSource(path_, http_, stop));
  if (format_.format == rows::Format::kCsv) {
    const std::vector<std::string> columns =
        TRY(rows::ReadHeader(*source, format_, stop).Annotate("reading " + rows::ShownPath(path_)));
    // The key first: without it the delimiter is another one, most likely.
    (void)TRY(rows::MakeRowParser(format_, columns).Annotate("reading " + rows::ShownPath(path_)));
    TRY(CheckColumns(columns));
  }
  const rows::PlanOptions options{
      .records_per_shard = static_cast<std::uint64_t>(cutting.records_per_shard),
      .choose =
          [cutting](std::uint64_t records) { return ChooseRecordsPerShard(cutting, records); },
      .max_shards = static_cast<std::uint64_t>(kMaxShards),
      .progress = progress_};
  return rows::PlanFile(*source, format_, options, stop)
      .Annotate("reading " + rows::ShownPath(path_));
}

Result<std::vector<PlannedShard>> FilePlanner::Cut(const Cutting& cutting, std::stop_token stop) {
  Result<rows::FilePlan> plan = Read(cutting, stop);
  if (!plan.ok()) return missing_ == Missing::kForGood ? WithoutHope(plan.error()) : plan.error();
  facts_ = FactsOf(*plan);
  std::vector<PlannedShard> cut;
  cut.reserve(plan->shards.size());
  for (const rows::Extent& e : plan->shards) {
    cut.push_back(
        {.range = {e.first, Advance(e.first, e.records)}, .records = e.records, .extent = e});
  }
  return cut;
}

}  // namespace backfill::plan
