#include "rows/row_scanner.h"

#include <algorithm>
#include <utility>

#include "rows/byte_index.h"
#include "rows/utf8.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kIndexStep = std::size_t{16} << 10;  // bytes; its index fits the L2 cache

}  // namespace

RowScanner::RowScanner(Format format, char delimiter, std::uint64_t offset, std::uint64_t line)
    : format_(format), delimiter_(delimiter), offset_(offset), row_offset_(offset), line_(line) {
  batch_.rows.reserve(kBatchRows);
}

void RowScanner::SetWindow(std::string_view window, bool last) {
  const std::size_t dropped = kept_;
  // Only the marks of a row that goes on are left; they move with it.
  for (std::size_t i = 0; i < write_; ++i) index_[i] -= static_cast<std::uint32_t>(dropped);
  offset_ += dropped;
  indexed_ -= dropped;
  not_ascii_ -= std::min(not_ascii_, dropped);
  begin_ -= std::min(begin_, dropped);
  column_begin_ -= std::min(column_begin_, dropped);
  closing_ -= std::min(closing_, dropped);
  kept_ = 0;
  data_ = window.data();
  size_ = window.size();
  last_ = last;
}

const RowBatch& RowScanner::Next() {
  // The rows of the last batch are done with, and so are their marks.
  const std::size_t done = first_mark_;
  std::copy(index_.begin() + static_cast<std::ptrdiff_t>(done),
            index_.begin() + static_cast<std::ptrdiff_t>(write_), index_.begin());
  write_ -= done;
  first_mark_ = 0;
  if (read_ == found_) read_ = found_ = write_;
  batch_.rows.clear();

  if (format_ == Format::kCsv) {
    ScanCsv();
  } else {
    ScanLines();
  }

  if (batch_.rows.empty()) {
    if (!skipping_ && size_ - begin_ > kMaxRowBytes) skipping_ = true;
    if (skipping_) {
      write_ = first_mark_ = 0;
      quote_ = Quote::kNone;
    }
    kept_ = skipping_ ? size_ : begin_;
  }
  batch_.data = data_;
  batch_.size = size_;
  batch_.offset = offset_;
  batch_.open_row = row_offset_;
  batch_.skipping = skipping_;
  batch_.marks = index_.data();
  batch_.utf8 = true;
  if (!batch_.rows.empty() && batch_.rows.front().begin < not_ascii_) {
    const std::size_t first = batch_.rows.front().begin;
    const std::size_t last = batch_.rows.back().begin + batch_.rows.back().size;
    batch_.utf8 = last >= first && IsUtf8({data_ + first, last - first});
  }
  return batch_;
}

bool RowScanner::IndexMore() {
  if (indexed_ == size_) return false;
  const std::size_t step = std::min(kIndexStep, size_ - indexed_);
  read_ = write_;
  if (index_.size() < write_ + step + kIndexSlack) index_.resize(write_ + 2 * step + kIndexSlack);
  SoughtBytes sought;
  if (format_ == Format::kCsv) sought = {.a = '\n', .b = '"', .c = delimiter_};
  const IndexResult index = IndexBytes(data_ + indexed_, step, sought,
                                       static_cast<std::uint32_t>(indexed_), &index_[write_]);
  found_ = write_ + index.found;
  indexed_ += step;
  if (!index.ascii) not_ascii_ = indexed_;
  return true;
}

void RowScanner::ScanLines() {
  while (batch_.rows.size() < kBatchRows) {
    if (read_ == found_ && !IndexMore()) return EndFile();
    while (read_ < found_ && batch_.rows.size() < kBatchRows) {
      const std::size_t at = index_[read_++];
      EndRow(at, at + 1);
    }
  }
}

void RowScanner::ScanCsv() {
  while (batch_.rows.size() < kBatchRows) {
    if (read_ == found_) {
      // One row more than a batch holds may have its marks here, so memory stays bounded.
      if (!batch_.rows.empty() && write_ > kIndexStep) return;
      if (!IndexMore()) return EndFile();
      continue;
    }
    const std::size_t at = index_[read_++];
    const char byte = data_[at];
    if (quote_ != Quote::kNone) {
      if (quote_ == Quote::kClosing) {
        const bool adjacent = at == closing_ + 1;
        if (byte == '"' && adjacent) {  // a doubled quote
          quote_ = Quote::kOpen;
          continue;
        }
        const bool before_crlf = byte == '\n' && at == closing_ + 2 && data_[at - 1] == '\r';
        if (!adjacent && !before_crlf) bad_quotes_ = true;
        quote_ = Quote::kNone;
      } else if (byte == '"') {
        quote_ = Quote::kClosing;
        closing_ = at;
        continue;
      } else {
        if (byte != '\n') continue;
        if (at - begin_ <= kMaxRowBytes) {
          ++breaks_;
          continue;
        }
      }
    }
    if (byte == '\n') {
      EndRow(at, at + 1);
    } else if (skipping_) {
      continue;
    } else if (byte == '"') {
      if (at == column_begin_ && !bad_quotes_) {
        quote_ = Quote::kOpen;
        quoted_ = true;
      } else {
        bad_quotes_ = true;
      }
    } else {
      if (separators_++ < kMaxColumns) index_[write_++] = static_cast<std::uint32_t>(at);
      column_begin_ = at + 1;
    }
  }
}

// The row's text ends at `at`, the next row begins at `next`.
inline void RowScanner::EndRow(std::size_t at, std::size_t next) {
  const bool too_long = skipping_ || at - begin_ > kMaxRowBytes;
  std::size_t size = at - begin_;
  if (size > 0 && data_[at - 1] == '\r') --size;
  if (size > 0 || too_long) {
    Row& row = batch_.rows.emplace_back();
    row.offset = row_offset_;
    row.end = offset_ + next;
    row.line = line_;
    row.first_mark = static_cast<std::uint32_t>(first_mark_);
    row.columns = separators_ + 1;
    row.quoted = quoted_;
    if (too_long) {
      row.fault = Fault::kTooLong;
      write_ = first_mark_;
    } else {
      row.begin = static_cast<std::uint32_t>(begin_);
      row.size = static_cast<std::uint32_t>(size);
      if (bad_quotes_) row.fault = Fault::kQuotes;
    }
  }
  line_ += breaks_ + 1;
  breaks_ = 0;
  begin_ = column_begin_ = next;
  row_offset_ = offset_ + next;
  first_mark_ = write_;
  separators_ = 0;
  quote_ = Quote::kNone;
  quoted_ = bad_quotes_ = skipping_ = false;
}

// The window is used up; if it is the last one, so is the row.
void RowScanner::EndFile() {
  if (!last_ || (begin_ == size_ && !skipping_)) return;
  const bool unclosed = quote_ == Quote::kOpen;
  if (unclosed) bad_quotes_ = true;
  if (quote_ == Quote::kClosing) {
    const std::size_t rest = size_ - closing_ - 1;
    if (rest > 1 || (rest == 1 && data_[size_ - 1] != '\r')) bad_quotes_ = true;
  }
  const std::size_t rows = batch_.rows.size();
  EndRow(size_, size_);
  if (unclosed && batch_.rows.size() > rows) batch_.rows.back().unclosed = true;
}

}  // namespace backfill::rows
