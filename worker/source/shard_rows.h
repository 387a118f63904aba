#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <stop_token>

#include "base/range.h"
#include "base/result.h"
#include "rows/byte_source.h"
#include "rows/extent.h"
#include "rows/format.h"
#include "rows/shard_reader.h"
#include "worker/engine/record.h"

namespace backfill::worker {

// Records of planned shards by position. Keeps two shards loaded: a worker reads on in one while it
// begins the next, and parts of one shard may have been split off to be read side by side. One
// thread.
class ShardRows {
 public:
  // The source outlives it. Errors: as rows::ShardReader.
  static Result<std::unique_ptr<ShardRows>> Open(rows::ByteSource& source,
                                                 const rows::FileFormat& format,
                                                 const rows::FileShape& planned,
                                                 const std::stop_token& stop);

  // The record at `position`, which lies in the extent. Cheap for the one behind the last one.
  Result<Record> Next(const rows::Extent& extent, Position position, const std::stop_token& stop);

 private:
  static constexpr std::size_t kLoaded = 2;

  struct Loaded {
    rows::Extent extent;
    rows::LoadedShard shard;
  };

  explicit ShardRows(std::unique_ptr<rows::ShardReader> reader) : reader_(std::move(reader)) {}

  const std::unique_ptr<rows::ShardReader> reader_;
  std::deque<Loaded> loaded_;  // the one that was used last is the last
};

// About what it takes in memory.
std::size_t BytesOf(const Record& record);

}  // namespace backfill::worker
