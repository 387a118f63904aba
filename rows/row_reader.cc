#include "rows/row_reader.h"

#include <cstring>
#include <string>
#include <string_view>

#include "rows/compressed_source.h"
#include "rows/key_rules.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kWindow = std::size_t{256} << 10;  // fits the L2 cache
constexpr std::size_t kFrontBytes = 8;                   // tell what a file is

// What a file is that has no rows of text; empty: it may have some. What gzip and zstd pack has
// been unpacked by now, once.
std::string_view OtherThanText(std::string_view front) {
  using namespace std::string_view_literals;
  if (front.starts_with("\xFF\xFE") || front.starts_with("\xFE\xFF"))
    return "is UTF-16; only UTF-8 is read";
  if (DetectCompression(front)) return "is compressed twice; compress it once";
  if (front.starts_with("\xFD"
                        "7zXZ\0"sv) ||
      front.starts_with("BZh91AY&"))
    return "is compressed with xz or bzip2; of compressed files gzip and zstd are read";
  if (front.starts_with("PK\x03\x04"))
    return "is a zip archive (as spreadsheets are); of compressed files gzip and zstd are read";
  return {};
}

}  // namespace

RowReader::RowReader(ByteStream& stream, Format format, char delimiter)
    : stream_(stream), format_(format), delimiter_(delimiter), buffer_(kWindow + kPadding) {}

Result<const RowBatch*> RowReader::Next(const std::stop_token& stop) {
  if (refill_) {
    if (last_) return nullptr;
    TRY(Refill(stop));
  }
  const RowBatch& batch = scanner_->Next();
  refill_ = batch.rows.empty();
  return &batch;
}

Status RowReader::Refill(const std::stop_token& stop) {
  const std::size_t dropped = scanner_ ? scanner_->kept() : 0;
  std::size_t kept = filled_ - dropped;
  const std::size_t size = buffer_.size() - kPadding;
  // At least half of a window is new, so a long row is moved a few times only.
  if (kept > size / 2) buffer_.resize(2 * size + kPadding);
  std::memmove(buffer_.data(), buffer_.data() + dropped, kept);
  do {
    const std::size_t room = buffer_.size() - kPadding - kept;
    const std::size_t read = TRY(stream_.Read({buffer_.data() + kept, room}, stop));
    bytes_ += read;
    kept += read;
    last_ = read == 0;
  } while (!scanner_ && !last_ && kept < kFrontBytes);
  filled_ = kept;
  if (!scanner_) TRY(Start());
  std::memset(buffer_.data() + filled_, 0, kPadding);
  scanner_->SetWindow({buffer_.data(), filled_}, last_);
  return Ok{};
}

// Looks at the first bytes of the file.
Status RowReader::Start() {
  const std::string_view front(buffer_.data(), filled_);
  if (const std::string_view other = OtherThanText(front); !other.empty())
    return Error{ErrorCode::kInvalid, "the file " + std::string(other)};
  const std::size_t mark = front.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  filled_ -= mark;
  std::memmove(buffer_.data(), buffer_.data() + mark, filled_);
  scanner_.emplace(format_, delimiter_, mark, 1);
  return Ok{};
}

}  // namespace backfill::rows
