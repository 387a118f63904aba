#include "worker/source/shard_rows.h"

#include <iterator>
#include <string>
#include <utility>

namespace backfill::worker {
namespace {

Record ToRecord(const rows::Record& row, Position position) {
  Record record{.position = position, .key = std::string(row.key)};
  if (row.fault != rows::Fault::kNone) {
    record.problem = row.problem;
    return record;
  }
  record.fields.assign(row.fields.begin(), row.fields.end());
  record.raw = row.raw;
  return record;
}

}  // namespace

std::size_t BytesOf(const Record& record) {
  std::size_t bytes = sizeof(Record) + record.key.size() + record.raw.size();
  for (const std::string& field : record.fields) bytes += sizeof(std::string) + field.size();
  return bytes;
}

Result<std::unique_ptr<ShardRows>> ShardRows::Open(rows::ByteSource& source,
                                                   const rows::FileFormat& format,
                                                   const rows::FileShape& planned,
                                                   const std::stop_token& stop) {
  auto reader = TRY(rows::ShardReader::Open(source, format, planned, stop));
  return std::unique_ptr<ShardRows>(new ShardRows(std::move(reader)));
}

Result<Record> ShardRows::Next(const rows::Extent& extent, Position position,
                               const std::stop_token& stop) {
  auto best = loaded_.end();
  for (auto it = loaded_.begin(); it != loaded_.end(); ++it) {
    if (it->extent != extent || it->shard.position() > position) continue;
    if (best == loaded_.end() || it->shard.position() > best->shard.position()) best = it;
  }
  if (best == loaded_.end()) {
    if (loaded_.size() >= kLoaded) loaded_.pop_front();  // first: its memory serves the next one
    rows::LoadedShard shard = TRY(reader_->Load(extent, stop));
    loaded_.push_back({extent, std::move(shard)});
    best = std::prev(loaded_.end());
  } else if (best != std::prev(loaded_.end())) {
    std::swap(*best, loaded_.back());
    best = std::prev(loaded_.end());
  }
  TRY(best->shard.SkipTo(position));
  const rows::Record* const row = TRY(best->shard.Next());
  if (row == nullptr) {
    return Error{ErrorCode::kConflict, "the shard at byte " + std::to_string(extent.offset) +
                                           " has no record at position " +
                                           std::to_string(position)};
  }
  Record record = ToRecord(*row, position);
  if (best->shard.position() >= Advance(extent.first, extent.records)) loaded_.erase(best);
  return record;
}

}  // namespace backfill::worker
