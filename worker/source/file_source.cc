#include "worker/source/file_source.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace backfill::worker {
namespace {

std::vector<std::string> FieldsOf(const FileSourceOptions& options) {
  switch (options.format.format) {
    case rows::Format::kLines:
      return {};
    case rows::Format::kCsv:
      return options.shape.columns;
    case rows::Format::kNdJson:
      return options.format.fields;
  }
  return {};
}

// Whether the file is not what was planned: trying again gives the same. Corrupt compression, too:
// when it was planned it could be read.
bool IsChange(const Error& error) {
  return error.code == ErrorCode::kConflict || error.code == ErrorCode::kInvalid;
}

}  // namespace

FileSource::FileSource(Opener opener, FileSourceOptions options)
    : opener_(std::move(opener)), options_(std::move(options)), field_names_(FieldsOf(options_)) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "source");
    Run(stop);
  });
}

FileSource::~FileSource() = default;

// ---- the caller's thread

void FileSource::Know(const rows::Extent& extent) {
  if (std::ranges::find(extents_, extent) != extents_.end()) return;
  extents_.push_back(extent);
  if (extents_.size() > kMaxExtents) extents_.pop_front();
}

const rows::Extent* FileSource::FindExtent(Position position) const {
  const auto found = std::ranges::find_if(extents_, [position](const rows::Extent& e) {
    return Range{e.first, Advance(e.first, e.records)}.Contains(position);
  });
  return found == extents_.end() ? nullptr : &*found;
}

Result<std::vector<Record>> FileSource::Read(const Range& range) {
  std::vector<Record> records;
  if (range.empty()) return records;
  const rows::Extent* const extent = FindExtent(range.begin);
  if (extent == nullptr) {
    return Error{ErrorCode::kInvalid, "nobody has said where in the file the record at position " +
                                          std::to_string(range.begin) + " lies"};
  }
  MutexLock l(mu_);
  const auto block = std::ranges::find_if(
      blocks_, [&range](const Block& b) { return b.from <= range.begin && range.begin < b.end(); });
  if (block == blocks_.end()) {
    Want(*extent, range.begin);
    return Error{ErrorCode::kUnavailable, "being read"};
  }
  const auto skipped = static_cast<std::ptrdiff_t>(Range{block->from, range.begin}.size());
  const auto taken = static_cast<std::ptrdiff_t>(
      std::min<std::uint64_t>(range.size(), Range{range.begin, block->end()}.size()));
  const auto first = block->records.begin() + skipped;
  records.assign(std::make_move_iterator(first), std::make_move_iterator(first + taken));
  block->records.erase(block->records.begin(), first + taken);
  block->from = range.begin + taken;
  // The next one is read while this one is sent.
  if (block->records.size() < kBlockRecords / 2 && !block->last) Want(*extent, block->end());
  if (block->records.empty()) blocks_.erase(block);
  return records;
}

std::optional<Error> FileSource::trouble() const {
  MutexLock l(mu_);
  return trouble_;
}

void FileSource::Want(const rows::Extent& extent, Position from) {
  const auto wanted = [&](const Wanted& w) { return w.from == from; };
  const auto there = [&](const Block& b) { return b.from == from; };
  if (std::ranges::any_of(wanted_, wanted) || std::ranges::any_of(blocks_, there)) return;
  // What was wanted for a lease that is gone by now gives way, but not what is being read.
  if (wanted_.size() >= kMaxBlocks) wanted_.erase(std::next(wanted_.begin()));
  wanted_.push_back({extent, from});
  changed_.notify_all();
}

// ---- the source's thread

void FileSource::Run(const std::stop_token& stop) {
  int failures = 0;
  while (true) {
    Wanted next;
    {
      MutexLock l(mu_);
      changed_.wait(mu_, stop, [this]() REQUIRES(mu_) { return !wanted_.empty(); });
      if (stop.stop_requested()) return;
      next = wanted_.front();
    }
    Result<Block> block = ReadBlock(next, stop);
    if (stop.stop_requested()) return;
    if (block.ok()) {
      if (std::exchange(failures, 0) > 0) Tell(std::nullopt);
      Deliver(std::move(*block));
      continue;
    }
    Error error = block.error().Annotate(options_.name);
    const bool changed = IsChange(error);
    error.code = changed ? ErrorCode::kConflict : ErrorCode::kUnavailable;
    Log(changed ? LogLevel::kError : LogLevel::kWarning, "the source cannot be read",
        {{"error", error.message}});
    Tell(error);
    if (changed) return;
    if (!WaitAfterFailure(failures++, stop)) return;
  }
}

Result<FileSource::Block> FileSource::ReadBlock(const Wanted& wanted, const std::stop_token& stop) {
  if (source_ == nullptr) source_ = TRY(opener_(stop));
  if (rows_ == nullptr) {
    rows_ = TRY(ShardRows::Open(*source_, options_.format, options_.shape, stop));
  }
  Block block{.from = wanted.from, .records = {}, .last = false, .extent = wanted.extent};
  const Position end = Advance(wanted.extent.first, wanted.extent.records);
  std::size_t bytes = 0;
  while (block.end() < end && block.records.size() < kBlockRecords && bytes < kBlockBytes) {
    block.records.push_back(TRY(rows_->Next(wanted.extent, block.end(), stop)));
    bytes += BytesOf(block.records.back());
  }
  block.last = block.end() >= end;
  return block;
}

void FileSource::Deliver(Block block) {
  {
    MutexLock l(mu_);
    wanted_.pop_front();
    // Those of leases that were lost are never asked for again.
    if (blocks_.size() >= kMaxBlocks) blocks_.pop_front();
    blocks_.push_back(std::move(block));
  }
  options_.wake();
}

void FileSource::Tell(std::optional<Error> trouble) {
  {
    MutexLock l(mu_);
    trouble_ = std::move(trouble);
  }
  options_.wake();
}

// False: stopped.
bool FileSource::WaitAfterFailure(int failures, const std::stop_token& stop) {
  Duration wait = options_.first_backoff;
  for (int i = 0; i < failures && wait < options_.max_backoff; ++i) wait *= 2;
  MutexLock l(mu_);
  changed_.wait_for(mu_, stop, std::min(wait, options_.max_backoff), [] { return false; });
  return !stop.stop_requested();
}

}  // namespace backfill::worker
