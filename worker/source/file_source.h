#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "rows/byte_source.h"
#include "rows/extent.h"
#include "rows/format.h"
#include "worker/source/shard_rows.h"
#include "worker/source/source.h"

namespace backfill::worker {

using namespace std::chrono_literals;

struct FileSourceOptions {
  rows::FileFormat format = {};
  rows::FileShape shape = {};  // as it was planned
  std::string name = {};       // of the file, in messages
  // Called on the source's thread: what was asked for is there, or the trouble is another one.
  std::function<void()> wake = nullptr;
  Duration first_backoff = 500ms;  // after a failure, doubled each time
  Duration max_backoff = 30s;
};

// Rows of a file; a record's position is the index of its row. Reading blocks, in a compressed file
// for as long as it takes to read what lies before, so a thread of its own reads: Read() gives what
// is there, else kUnavailable, and asks for it. Each block is followed by the next one.
//
// Of a shard whose bytes are not the ones that were planned nothing is given, and nothing of any
// shard afterwards. A file that cannot be reached is tried again for ever.
class FileSource final : public Source {
 public:
  // Opens the file; called on the source's thread, again after a failure.
  using Opener = std::function<Result<std::unique_ptr<rows::ByteSource>>(const std::stop_token&)>;

  FileSource(Opener opener, FileSourceOptions options);
  ~FileSource() override;

  void Know(const rows::Extent& extent) override;
  Result<std::vector<Record>> Read(const Range& range) override;
  [[nodiscard]] std::optional<Error> trouble() const override;

  [[nodiscard]] const std::vector<std::string>& field_names() const override {
    return field_names_;
  }
  [[nodiscard]] bool numeric_keys() const override { return false; }
  [[nodiscard]] bool raw_records() const override {
    return options_.format.format == rows::Format::kNdJson;
  }

 private:
  // Of a block: so many records, or fewer of so many bytes.
  static constexpr std::uint64_t kBlockRecords = 1024;
  static constexpr std::size_t kBlockBytes = std::size_t{256} << 10;
  // The latest ones; a worker holds far fewer leases that it still reads.
  static constexpr std::size_t kMaxExtents = 256;
  // One for each lease that is read at a time, and one that is fetched.
  static constexpr std::size_t kMaxBlocks = 4;

  struct Wanted {
    rows::Extent extent;
    Position from = 0;
  };
  struct Block {
    Position from = 0;  // of records.front()
    std::deque<Record> records;
    bool last = false;  // of its extent
    rows::Extent extent;
    [[nodiscard]] Position end() const { return Advance(from, records.size()); }
  };

  [[nodiscard]] const rows::Extent* FindExtent(Position position) const;
  void Want(const rows::Extent& extent, Position from) REQUIRES(mu_);
  void Run(const std::stop_token& stop);
  Result<Block> ReadBlock(const Wanted& wanted, const std::stop_token& stop);
  void Deliver(Block block);
  void Tell(std::optional<Error> trouble);
  bool WaitAfterFailure(int failures, const std::stop_token& stop);

  const Opener opener_;
  const FileSourceOptions options_;
  const std::vector<std::string> field_names_;
  std::deque<rows::Extent> extents_;  // of the caller's thread

  // Of the reading thread.
  std::unique_ptr<rows::ByteSource> source_;
  std::unique_ptr<ShardRows> rows_;

  mutable Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<Wanted> wanted_ GUARDED_BY(mu_);  // the front one is being read
  std::deque<Block> blocks_ GUARDED_BY(mu_);
  std::optional<Error> trouble_ GUARDED_BY(mu_);

  std::jthread thread_;  // last: joins before the rest goes
};

}  // namespace backfill::worker
