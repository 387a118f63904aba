#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "rows/byte_source.h"
#include "rows/extent.h"
#include "rows/format.h"
#include "rows/row_parser.h"
#include "rows/row_scanner.h"
#include "rows/stream_pool.h"

namespace backfill::rows {

// The records of one shard, whose bytes are the ones that were planned. One thread.
class LoadedShard {
 public:
  // In order. What it points to is valid until the next call; nullptr at the end.
  // kConflict: the rows are not as many as planned.
  Result<const Record*> Next();
  // Leaves out records so that Next() gives the one at `position`, which is not behind it yet.
  // Much cheaper than reading them. kConflict as above.
  Status SkipTo(Position position);

  [[nodiscard]] Position position() const { return extent_.first + static_cast<Position>(given_); }

 private:
  friend class ShardReader;

  // What reading a shard takes. It goes back to the reader, so that the next one takes no new
  // memory from the system.
  struct Workspace {
    std::unique_ptr<char[]> bytes;  // room for any shard, and padding
    std::unique_ptr<RowScanner> scanner;
    std::unique_ptr<RowParser> parser;
  };
  using Spare = std::vector<std::unique_ptr<Workspace>>;
  struct GiveBack {
    std::shared_ptr<Spare> spare;
    void operator()(Workspace* workspace) const;
  };
  using Taken = std::unique_ptr<Workspace, GiveBack>;

  // `held`: the workspace has the bytes; else all there is is a row that is too long.
  LoadedShard(const Extent& extent, Taken workspace, bool held);

  Result<const Record*> NextElsewhere();
  const Row* NextRow();
  const Record* Give(const RowBatch& batch, const Row& row);
  [[nodiscard]] Error Fewer() const;

  Extent extent_;
  Taken workspace_;
  bool held_;
  const RowBatch* batch_ = nullptr;
  std::size_t next_in_batch_ = 0;
  std::uint64_t given_ = 0;
};

// Mostly the next row is there already.
inline Result<const Record*> LoadedShard::Next() {
  if (batch_ == nullptr || next_in_batch_ == batch_->rows.size() || given_ == extent_.records)
    return NextElsewhere();
  return Give(*batch_, batch_->rows[next_in_batch_++]);
}

inline const Record* LoadedShard::Give(const RowBatch& batch, const Row& row) {
  Record& record = workspace_->parser->Parse(batch, row);
  record.position = position();
  ++given_;
  return &record;
}

// Reads shards of a file as it was planned, in any order. kConflict is what tells that the file is
// another one by now: another size, header, or other bytes in a shard. It is found before any
// record of the shard is given out. One thread.
class ShardReader {
 public:
  // Looks at size and header. The source outlives the reader.
  // kConflict, kInvalid (the format's settings make no sense), or as the source.
  static Result<std::unique_ptr<ShardReader>> Open(ByteSource& source, const FileFormat& format,
                                                   const FileShape& planned,
                                                   const std::stop_token& stop);

  // Holds the shard's bytes until it is destroyed: kMaxShardBytes at most. kConflict, or as the
  // source; afterwards any other shard can be loaded.
  Result<LoadedShard> Load(const Extent& extent, const std::stop_token& stop);

  [[nodiscard]] const std::vector<std::string>& field_names() const { return field_names_; }
  [[nodiscard]] const StreamPool& streams() const { return pool_; }

 private:
  ShardReader(ByteSource& source, FileFormat format, FileShape shape);
  [[nodiscard]] Result<std::unique_ptr<RowParser>> NewParser() const;
  Result<LoadedShard::Taken> TakeWorkspace();
  [[nodiscard]] Status CheckSize() const;

  ByteSource& source_;
  const FileFormat format_;
  const FileShape shape_;
  std::vector<std::string> field_names_;
  StreamPool pool_;
  const std::shared_ptr<LoadedShard::Spare> spare_ = std::make_shared<LoadedShard::Spare>();
};

}  // namespace backfill::rows
