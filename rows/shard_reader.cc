#include "rows/shard_reader.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "rows/crc32c.h"
#include "rows/file_plan.h"

namespace backfill::rows {
namespace {

std::string Hex(std::uint32_t crc) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", crc);
  return text;
}

Error Changed(const std::string& what) {
  return Error{ErrorCode::kConflict, "the file changed since it was planned: " + what};
}

std::string Names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  constexpr std::size_t kShown = 200;
  if (text.size() > kShown) text.replace(kShown, std::string::npos, "...");
  return text;
}

}  // namespace

void LoadedShard::GiveBack::operator()(Workspace* workspace) const {
  constexpr std::size_t kSpare = 2;  // a worker reads two leases at most
  std::unique_ptr<Workspace> owned(workspace);
  if (spare != nullptr && spare->size() < kSpare) spare->push_back(std::move(owned));
}

LoadedShard::LoadedShard(const Extent& extent, Taken workspace, bool held)
    : extent_(extent), workspace_(std::move(workspace)), held_(held) {
  if (!held_) return;
  const std::string_view window(workspace_->bytes.get(), static_cast<std::size_t>(extent.bytes));
  workspace_->scanner->Restart(extent.offset, extent.line);
  workspace_->scanner->SetWindow(window, true);
}

// One more row than planned is as wrong as one less.
Result<const Record*> LoadedShard::NextElsewhere() {
  const Row* row = nullptr;
  Row too_long;
  if (held_) {
    row = NextRow();
  } else if (given_ == 0) {
    too_long = {.offset = extent_.offset, .line = extent_.line, .fault = Fault::kTooLong};
    row = &too_long;
  }
  if (row == nullptr) {
    if (given_ < extent_.records) return Fewer();
    return nullptr;
  }
  if (given_ == extent_.records) return Fewer();
  static const RowBatch kNoBatch;
  return Give(batch_ != nullptr ? *batch_ : kNoBatch, *row);
}

const Row* LoadedShard::NextRow() {
  if (batch_ == nullptr || next_in_batch_ == batch_->rows.size()) {
    batch_ = &workspace_->scanner->Next();
    next_in_batch_ = 0;
    if (batch_->rows.empty()) return nullptr;
  }
  return &batch_->rows[next_in_batch_++];
}

Status LoadedShard::SkipTo(Position position) {
  while (this->position() < position) {
    if (!held_ || NextRow() == nullptr) return Fewer();
    ++given_;
  }
  return Ok{};
}

Error LoadedShard::Fewer() const {
  return Error{ErrorCode::kConflict, "the shard at byte " + std::to_string(extent_.offset) +
                                         " does not have the " + std::to_string(extent_.records) +
                                         " records that were planned; its bytes are the same, so "
                                         "it was planned as another format"};
}

ShardReader::ShardReader(ByteSource& source, FileFormat format, FileShape shape)
    : source_(source), format_(std::move(format)), shape_(std::move(shape)), pool_(source) {}

Result<std::unique_ptr<ShardReader>> ShardReader::Open(ByteSource& source, const FileFormat& format,
                                                       const FileShape& planned,
                                                       const std::stop_token& stop) {
  std::unique_ptr<ShardReader> reader(new ShardReader(source, format, planned));
  TRY(reader->CheckSize());
  if (format.format == Format::kCsv) {
    // The key's column may be what is missing, so the header is compared first.
    const std::vector<std::string> columns = TRY(ReadHeader(source, format, stop));
    if (columns != planned.columns) {
      return Changed("its header is " + Names(columns) + " and was " + Names(planned.columns));
    }
  }
  reader->field_names_ = TRY(reader->NewParser())->field_names();
  return reader;
}

Result<std::unique_ptr<RowParser>> ShardReader::NewParser() const {
  return MakeRowParser(format_, shape_.columns);
}

Status ShardReader::CheckSize() const {
  const std::optional<std::uint64_t> now = source_.stored_bytes();
  if (now && shape_.stored_bytes && *now != *shape_.stored_bytes) {
    return Changed("it has " + std::to_string(*now) + " bytes and had " +
                   std::to_string(*shape_.stored_bytes));
  }
  return Ok{};
}

Result<LoadedShard> ShardReader::Load(const Extent& extent, const std::stop_token& stop) {
  TRY(CheckSize());
  LoadedShard::Taken workspace = TRY(TakeWorkspace());
  // A longer one is a row that is too long: its bytes are looked at, not kept.
  const bool keep = extent.bytes <= kMaxShardBytes;
  char* const bytes = workspace->bytes.get();
  std::size_t filled = 0;
  std::uint32_t crc = 0;
  const std::uint64_t came = TRY(pool_.Read(
      extent.offset, extent.bytes,
      [&](std::span<const char> read) {
        crc = Crc32c(crc, {read.data(), read.size()});
        if (keep) filled += read.size();
        return std::span<char>(bytes + filled, kMaxShardBytes - filled);
      },
      stop));
  const std::string where = "the " + std::to_string(extent.bytes) + " bytes from " +
                            std::to_string(extent.offset) + " on ";
  if (came != extent.bytes) return Changed(where + "are " + std::to_string(came) + " now");
  if (crc != extent.crc32c) {
    return Changed(where + "have the checksum crc32c " + Hex(crc) + " and had " +
                   Hex(extent.crc32c));
  }
  if (keep) std::fill_n(bytes + filled, kPadding, '\0');
  return LoadedShard(extent, std::move(workspace), keep);
}

Result<LoadedShard::Taken> ShardReader::TakeWorkspace() {
  std::unique_ptr<LoadedShard::Workspace> workspace;
  if (!spare_->empty()) {
    workspace = std::move(spare_->back());
    spare_->pop_back();
  } else {
    workspace = std::make_unique<LoadedShard::Workspace>();
    workspace->bytes.reset(new char[kMaxShardBytes + kPadding]);  // not zeroed, so not touched
    workspace->scanner = std::make_unique<RowScanner>(format_.format, format_.delimiter, 0, 1);
    workspace->parser = TRY(NewParser());
  }
  return LoadedShard::Taken(workspace.release(), {spare_});
}

}  // namespace backfill::rows
