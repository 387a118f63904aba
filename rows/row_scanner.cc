#include "rows/row_scanner.h"

#include <algorithm>
#include <utility>

#include "rows/utf8.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kIndexStep = std::size_t{16} << 10;  // bytes; their index fits the L2 cache
constexpr std::size_t kMaxIndexed = 4 * kIndexStep;        // positions, unless one row needs more

SoughtBytes SoughtIn(Format format, char delimiter) {
  switch (format) {
    case Format::kLines:
      return {};
    case Format::kCsv:
      return {.quote = '"', .mark = delimiter, .marks = true};
    case Format::kNdJson:
      return {.mark = '"', .marks = true};
  }
  return {};
}

}  // namespace

RowScanner::RowScanner(Format format, char delimiter, std::uint64_t offset, std::uint64_t line)
    : RowScanner(SoughtIn(format, delimiter), offset, line) {}

RowScanner::RowScanner(const SoughtBytes& sought, std::uint64_t offset, std::uint64_t line)
    : sought_(sought), offset_(offset), row_offset_(offset), line_(line) {}

void RowScanner::Restart(std::uint64_t offset, std::uint64_t line) {
  std::vector<std::uint32_t> breaks = std::move(breaks_.at);
  std::vector<std::uint32_t> marks = std::move(marks_.at);
  std::vector<Row> rows = std::move(rows_);
  *this = RowScanner(sought_, offset, line);
  breaks_.at = std::move(breaks);
  marks_.at = std::move(marks);
  rows_ = std::move(rows);
}

void RowScanner::SetWindow(std::string_view window, bool last) {
  const std::size_t dropped = kept_;
  // All breaks were dealt with; the marks of a row that goes on move with it.
  breaks_.Drop(breaks_.found);
  if (!has_quotes_) marks_.Drop(std::min(first_mark_, marks_.found));
  for (std::size_t i = 0; i < marks_.found; ++i)
    marks_.at[i] -= static_cast<std::uint32_t>(dropped);
  if (!has_quotes_) first_mark_ = 0;
  offset_ += dropped;
  indexed_ -= dropped;
  not_ascii_ -= std::min(not_ascii_, dropped);
  not_plain_ -= std::min(not_plain_, dropped);
  begin_ -= std::min(begin_, dropped);
  column_begin_ -= std::min(column_begin_, dropped);
  closing_ -= std::min(closing_, dropped);
  kept_ = 0;
  data_ = window.data();
  size_ = window.size();
  last_ = last;
}

const RowBatch& RowScanner::Next() {
  rows_.resize(kBatchRows);
  row_count_ = 0;
  batch_.sound = true;
  Scan();
  if (row_count_ == 0) {
    if (!skipping_ && size_ - begin_ > kMaxRowBytes) {
      skipping_ = true;
      quoted_ = has_quotes_ = false;
      quote_ = Quote::kNone;
    }
    if (skipping_) {
      marks_.read = marks_.found = first_mark_ = end_mark_ = 0;
    }
    kept_ = skipping_ ? size_ : begin_;
  }
  batch_.rows = std::span<const Row>(rows_).first(row_count_);
  batch_.data = data_;
  batch_.size = size_;
  batch_.offset = offset_;
  batch_.open_row = row_offset_;
  batch_.skipping = skipping_;
  batch_.marks = marks_.at.data();
  batch_.utf8 = batch_.plain = true;
  if (batch_.rows.empty()) return batch_;
  const std::size_t first = batch_.rows.front().begin;
  const std::size_t last = batch_.rows.back().begin + batch_.rows.back().size;
  batch_.plain = first >= not_plain_;
  if (first < not_ascii_) batch_.utf8 = last >= first && IsUtf8({data_ + first, last - first});
  return batch_;
}

bool RowScanner::IndexMore() {
  if (indexed_ == size_) return false;
  if (row_count_ == 0) {  // nobody looks at the marks of former rows any more
    breaks_.Drop(breaks_.read);
    const std::size_t done = first_mark_;
    marks_.Drop(done);
    end_mark_ -= std::min(end_mark_, done);
    first_mark_ = 0;
  }
  const std::size_t step = std::min(kIndexStep, size_ - indexed_);
  const IndexedBytes seen = IndexBytes(data_ + indexed_, step, sought_,
                                       static_cast<std::uint32_t>(indexed_), breaks_, marks_);
  indexed_ += step;
  if (!seen.ascii) not_ascii_ = indexed_;
  if (!seen.plain) not_plain_ = indexed_;
  return true;
}

void RowScanner::Scan() {
  while (row_count_ < kBatchRows) {
    if (breaks_.read == breaks_.found) {
      if (row_count_ > 0 && std::max(breaks_.found, marks_.found) > kMaxIndexed) return;
      if (!IndexMore()) return EndFile();
      continue;
    }
    if (!has_quotes_ && !skipping_ && ScanPlain()) continue;
    const std::size_t at = breaks_.at[breaks_.read++];
    if (has_quotes_ || data_[at] != '\n') {
      if (!skipping_ && !ScanQuoted(at)) continue;
      if (data_[at] != '\n') continue;
    } else {
      TakeMarks(at);
    }
    EndRow(at, at + 1);
  }
}

// The rows that most files consist of: no quotes, not too long. All that changes from one to the
// next stays in registers. Whether there were any.
bool RowScanner::ScanPlain() {
  const char* const data = data_;
  const std::uint32_t* const breaks = breaks_.at.data();
  const std::uint32_t* const marks = marks_.at.data();
  const std::size_t breaks_end = breaks_.found;
  const std::size_t marks_end = marks_.found;
  std::size_t usual = usual_marks_;
  const std::uint64_t offset = offset_;
  const Row* const rows_end = rows_.data() + kBatchRows;
  Row* row = rows_.data() + row_count_;
  std::size_t read = breaks_.read;
  std::size_t mark = first_mark_;
  std::size_t begin = begin_;
  std::uint64_t line = line_;
  for (; row != rows_end && read != breaks_end; ++read, ++line) {
    const std::size_t at = breaks[read];
    std::size_t size = at - begin;
    if (data[at] != '\n' || size > kMaxRowBytes) break;
    // Most rows have as many marks as the one before.
    std::size_t mark_end = mark + usual;
    const bool as_usual = mark_end <= marks_end && (usual == 0 || marks[mark_end - 1] < at) &&
                          (mark_end == marks_end || marks[mark_end] > at);
    if (!as_usual) {
      for (mark_end = mark; mark_end < marks_end && marks[mark_end] < at;) ++mark_end;
      usual = mark_end - mark;
    }
    if (size > 0 && data[at - 1] == '\r') --size;
    *row = {.offset = offset + begin,
            .end = offset + at + 1,
            .line = line,
            .begin = static_cast<std::uint32_t>(begin),
            .size = static_cast<std::uint32_t>(size),
            .first_mark = static_cast<std::uint32_t>(mark),
            .marks = static_cast<std::uint32_t>(mark_end - mark)};
    row += static_cast<std::ptrdiff_t>(size > 0);
    mark = mark_end;
    begin = at + 1;
  }
  if (read == breaks_.read) return false;
  usual_marks_ = usual;
  row_count_ = static_cast<std::size_t>(row - rows_.data());
  breaks_.read = read;
  marks_.read = first_mark_ = end_mark_ = mark;
  begin_ = begin;
  row_offset_ = offset_ + begin;
  line_ = line;
  return true;
}

// Finds where the row's marks end.
inline void RowScanner::TakeMarks(std::size_t at) {
  while (marks_.read < marks_.found && marks_.at[marks_.read] < at) ++marks_.read;
  end_mark_ = marks_.read;
}

// A row of kCsv with quotes, up to the break at `at`. Whether the row ends there.
bool RowScanner::ScanQuoted(std::size_t at) {
  if (!has_quotes_) {
    has_quotes_ = true;
    column_begin_ = begin_;
    end_mark_ = first_mark_;
  }
  while (marks_.read < marks_.found && marks_.at[marks_.read] < at)
    Separate(marks_.at[marks_.read++]);
  if (quote_ == Quote::kClosing) {
    const bool adjacent = at == closing_ + 1;
    if (data_[at] == '"' && adjacent) {  // a doubled quote
      quote_ = Quote::kOpen;
      return false;
    }
    const bool before_crlf = data_[at] == '\n' && at == closing_ + 2 && data_[at - 1] == '\r';
    if (!adjacent && !before_crlf) bad_quotes_ = true;
    quote_ = Quote::kNone;
  }
  if (data_[at] == '"') {
    if (quote_ == Quote::kOpen) {
      quote_ = Quote::kClosing;
      closing_ = at;
    } else if (at == column_begin_ && !bad_quotes_) {
      quote_ = Quote::kOpen;
      quoted_ = true;
    } else {
      bad_quotes_ = true;
    }
    return false;
  }
  if (quote_ == Quote::kOpen && at - begin_ <= kMaxRowBytes) {
    ++breaks_inside_;
    return false;
  }
  return true;
}

// A separator in a row with quotes.
void RowScanner::Separate(std::size_t at) {
  if (quote_ == Quote::kOpen) return;
  if (quote_ == Quote::kClosing) {
    if (at != closing_ + 1) bad_quotes_ = true;
    quote_ = Quote::kNone;
  }
  marks_.at[end_mark_++] = static_cast<std::uint32_t>(at);
  column_begin_ = at + 1;
}

// The row's text ends at `at`, the next row begins at `next`.
inline void RowScanner::EndRow(std::size_t at, std::size_t next) {
  const bool too_long = skipping_ || at - begin_ > kMaxRowBytes;
  std::size_t size = at - begin_;
  if (size > 0 && data_[at - 1] == '\r') --size;
  if (too_long) {
    rows_[row_count_++] = {
        .offset = row_offset_, .end = offset_ + next, .line = line_, .fault = Fault::kTooLong};
  } else if (size > 0) {
    rows_[row_count_++] = {.offset = row_offset_,
                           .end = offset_ + next,
                           .line = line_,
                           .begin = static_cast<std::uint32_t>(begin_),
                           .size = static_cast<std::uint32_t>(size),
                           .first_mark = static_cast<std::uint32_t>(first_mark_),
                           .marks = static_cast<std::uint32_t>(end_mark_ - first_mark_),
                           .quoted = quoted_,
                           .fault = bad_quotes_ ? Fault::kQuotes : Fault::kNone};
  }
  if (too_long || bad_quotes_) batch_.sound = false;
  line_ += breaks_inside_ + 1;
  begin_ = next;
  row_offset_ = offset_ + next;
  first_mark_ = end_mark_ = marks_.read;
  breaks_inside_ = 0;
  if (has_quotes_ || skipping_) {
    quote_ = Quote::kNone;
    quoted_ = has_quotes_ = bad_quotes_ = skipping_ = false;
  }
}

// The window is used up; if it is the last one, so is the row.
void RowScanner::EndFile() {
  if (!last_ || (begin_ == size_ && !skipping_)) return;
  bool unclosed = false;
  if (has_quotes_) {
    while (marks_.read < marks_.found) Separate(marks_.at[marks_.read++]);
    unclosed = quote_ == Quote::kOpen;
    const std::size_t rest = quote_ == Quote::kClosing ? size_ - closing_ - 1 : 0;
    if (unclosed || rest > 1 || (rest == 1 && data_[size_ - 1] != '\r')) bad_quotes_ = true;
  } else {
    TakeMarks(size_);
  }
  const std::size_t rows = row_count_;
  EndRow(size_, size_);
  if (row_count_ > rows) rows_[rows].unclosed = unclosed;
}

}  // namespace backfill::rows
