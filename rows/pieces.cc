#include "rows/pieces.h"

#include <algorithm>
#include <string>

#include "rows/crc32c.h"

namespace backfill::rows {

Pieces::Pieces(Limits limits)
    : join_(limits.join), max_pieces_(limits.pieces), piece_records_(limits.records) {}

Status Pieces::Add(const RowBatch& batch) {
  for (std::size_t i = 0; i < batch.rows.size();) {
    const std::size_t fitting = batch.sound ? AddFitting(batch.rows.subspan(i)) : 0;
    if (fitting == 0) AddRow(batch, batch.rows[i]);
    i += std::max<std::size_t>(fitting, 1);
  }
  if (batch.rows.empty() && (open_ || batch.skipping)) {
    // The window is about to be dropped. A row that is too long begins its piece right here, since
    // its bytes will be gone when its end is found.
    if (batch.skipping && !(open_ && piece_.records == 0)) Open(batch, batch.open_row);
    Feed(batch, batch.skipping ? batch.offset + batch.size : batch.open_row);
  }
  if (join_ && pieces_.size() >= max_pieces_) {
    constexpr std::uint64_t kAnyNumber = std::uint64_t{1} << 62;
    while (pieces_.size() > max_pieces_ / 2 && piece_records_ < kAnyNumber) {
      piece_records_ *= 2;
      Join(piece_records_);
    }
    if (pieces_.size() > max_pieces_ / 2) {
      return Error{ErrorCode::kInvalid, "the file is too large: more than " +
                                            std::to_string(max_pieces_ / 2) + " shards of " +
                                            std::to_string(kMaxShardBytes >> 20) + " MiB"};
    }
  }
  return Ok{};
}

// How many of these rows, none of which is too long, the open piece takes beside those that it has.
// They lie in order, so the last of a stretch says whether it fits.
std::size_t Pieces::AddFitting(std::span<const Row> rows) {
  if (!open_ || piece_.alone || piece_.records == 0 || piece_.records >= piece_records_) return 0;
  auto n = static_cast<std::size_t>(
      std::min<std::uint64_t>(rows.size(), piece_records_ - piece_.records));
  while (n > 0 && rows[n - 1].end - piece_.offset > kMaxShardBytes) n /= 2;
  if (n == 0) return 0;
  piece_.records += n;
  piece_.bytes = rows[n - 1].end - piece_.offset;
  return n;
}

void Pieces::AddRow(const RowBatch& batch, const Row& row) {
  const bool alone = row.fault == Fault::kTooLong;
  const bool begun = open_ && piece_.records == 0;  // by this row, before its end was found
  const bool fits = open_ && !piece_.alone && !alone && piece_.records < piece_records_ &&
                    row.end - piece_.offset <= kMaxShardBytes;
  if (!fits && !begun) Open(batch, row.offset);
  if (piece_.records == 0) {
    piece_.line = row.line;
    piece_.alone = alone;
  }
  ++piece_.records;
  piece_.bytes = row.end - piece_.offset;
  // Fed in long stretches: at the end of the piece or of the window.
}

// Closes the open piece and begins one at `offset`.
void Pieces::Open(const RowBatch& batch, std::uint64_t offset) {
  if (open_) {
    Feed(batch, offset);
    Close();
  }
  open_ = true;
  piece_ = {.offset = offset};
  fed_ = offset;
  running_ = 0;
}

// Up to `to`, which may lie behind the piece's last row, among blank lines.
void Pieces::Feed(const RowBatch& batch, std::uint64_t to) {
  const auto feed = [&](std::uint64_t until) {
    if (until <= fed_) return;
    running_ = Crc32c(running_,
                      {batch.data + (fed_ - batch.offset), static_cast<std::size_t>(until - fed_)});
    fed_ = until;
  };
  const std::uint64_t end = piece_.offset + piece_.bytes;
  if (end > fed_) {
    feed(end);
    piece_.crc = running_;
  }
  feed(to);
}

void Pieces::Close() {
  piece_.bytes_to_next = fed_ - piece_.offset;
  piece_.crc_to_next = running_;
  ++count_;
  if (join_ || pieces_.size() < max_pieces_) pieces_.push_back(piece_);
}

void Pieces::Join(std::uint64_t records) {
  std::size_t joined = 0;
  for (const Piece& next : pieces_) {
    if (joined > 0) {
      Piece& last = pieces_[joined - 1];
      if (!last.alone && !next.alone && last.records + next.records <= records &&
          last.bytes_to_next + next.bytes <= kMaxShardBytes) {
        const bool blank_lines = next.bytes_to_next != next.bytes;
        last.records += next.records;
        last.crc = CombineCrc32c(last.crc_to_next, next.crc, next.bytes);
        last.crc_to_next =
            blank_lines ? CombineCrc32c(last.crc_to_next, next.crc_to_next, next.bytes_to_next)
                        : last.crc;
        last.bytes = last.bytes_to_next + next.bytes;
        last.bytes_to_next += next.bytes_to_next;
        continue;
      }
    }
    pieces_[joined++] = next;
  }
  pieces_.resize(joined);
  count_ = joined;
}

std::vector<Extent> Pieces::Finish(std::uint64_t records) {
  if (open_) Close();
  open_ = false;
  if (join_) Join(records);
  std::vector<Extent> extents;
  extents.reserve(pieces_.size());
  Position first = 0;
  for (const Piece& p : pieces_) {
    extents.push_back({.first = first,
                       .records = p.records,
                       .offset = p.offset,
                       .bytes = p.bytes,
                       .line = p.line,
                       .crc32c = p.crc});
    first += static_cast<Position>(p.records);
  }
  return extents;
}

}  // namespace backfill::rows
