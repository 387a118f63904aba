#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rows/byte_index.h"
#include "rows/format.h"

namespace backfill::rows {

// One row as it lies in the file. A blank line is no row, in any format.
struct Row {
  std::uint64_t offset = 0;  // of its first byte, in the (decompressed) file
  std::uint64_t end = 0;     // of the byte behind its line ending
  std::uint64_t line = 0;    // the physical line where it begins, from 1
  std::uint32_t begin = 0;   // its text in the window, without LF or CR LF; not if too long
  std::uint32_t size = 0;
  std::uint32_t first_mark = 0;  // in RowBatch::marks
  std::uint32_t marks = 0;       // kCsv: its separators; kNdJson: all quotes in it
  bool quoted = false;           // kCsv: has quoted columns
  bool unclosed = false;         // kCsv: the file ended inside quotes
  Fault fault = Fault::kNone;    // kTooLong or kQuotes
};

// Rows that lie in one window. Valid until the scanner is called again.
struct RowBatch {
  std::span<const Row> rows = {};  // none: the window is used up
  const char* data = nullptr;      // the window
  std::size_t size = 0;
  std::uint64_t offset = 0;              // of the window in the file
  std::uint64_t open_row = 0;            // where the row begins that the window does not end
  bool skipping = false;                 // which is too long: what the window has of it is dropped
  const std::uint32_t* marks = nullptr;  // positions in the window
  bool sound = true;                     // no row has a fault
  bool utf8 = true;                      // all rows are UTF-8; else each has to be looked at
  bool plain = true;                     // as IndexedBytes::plain, for all rows; else likewise

  [[nodiscard]] std::string_view Text(const Row& row) const { return {data + row.begin, row.size}; }
};

// Finds rows in a file that comes in windows, and the separators of kCsv on the way, in one pass
// and bounded memory. A row ends at LF (or CR LF); in kCsv not at one inside quotes. A quote opens
// only at the start of a column; elsewhere, and when text follows a closing quote, the row is bad
// (kQuotes) and quotes in it no longer count, so that the damage ends with the line. A row of more
// than kMaxRowBytes is bad (kTooLong) and ends at the first LF behind them. What a row is depends
// on its own bytes alone, so a shard can be scanned without what lies before it.
//
// One thread. Never fails: what is wrong with a row is said in the row.
class RowScanner {
 public:
  static constexpr std::size_t kBatchRows = 128;

  // `offset` and `line` of the first byte of the first window.
  RowScanner(Format format, char delimiter, std::uint64_t offset, std::uint64_t line);

  // Begins anew somewhere else, and keeps its memory.
  void Restart(std::uint64_t offset, std::uint64_t line);

  // The window: what was kept of the former one (its bytes from `kept()` on) and what follows,
  // readable for kPadding bytes more. `last`: the file ends with it, and what lies behind it is
  // zero. Only when Next() gave no rows.
  void SetWindow(std::string_view window, bool last);

  // The next rows; none when the window is used up.
  const RowBatch& Next();

  // How many bytes at the front of the window are no longer needed.
  [[nodiscard]] std::size_t kept() const { return kept_; }

 private:
  RowScanner(const SoughtBytes& sought, std::uint64_t offset, std::uint64_t line);

  enum class Quote { kNone, kOpen, kClosing };

  bool IndexMore();
  void Scan();
  bool ScanPlain();
  bool ScanQuoted(std::size_t at);
  void Separate(std::size_t at);
  void TakeMarks(std::size_t at);
  void EndRow(std::size_t at, std::size_t next);
  void EndFile();

  SoughtBytes sought_;

  const char* data_ = nullptr;
  std::size_t size_ = 0;
  bool last_ = false;
  std::size_t indexed_ = 0;    // how far the window was indexed
  std::size_t not_ascii_ = 0;  // up to here it may hold bytes that are not ASCII
  std::size_t not_plain_ = 0;  // and not plain
  std::uint64_t offset_ = 0;   // of the window's first byte
  std::size_t kept_ = 0;

  Positions breaks_;  // line feeds; in kCsv quotes, too
  Positions marks_;   // kCsv: separators; kNdJson: quotes

  // The row that is being read.
  std::size_t begin_ = 0;         // in the window
  std::uint64_t row_offset_ = 0;  // in the file
  std::uint64_t line_ = 1;        // where it began
  std::uint64_t breaks_inside_ = 0;
  std::size_t first_mark_ = 0;
  std::size_t usual_marks_ = 0;  // of the row before
  bool skipping_ = false;        // longer than what is kept of it
  // Once it has a quote (kCsv): those of its marks that count are packed at the front, up to
  // `end_mark_`.
  bool quoted_ = false;
  bool has_quotes_ = false;  // ScanQuoted() has begun
  bool bad_quotes_ = false;
  Quote quote_ = Quote::kNone;
  std::size_t closing_ = 0;  // where the last quote may have closed
  std::size_t column_begin_ = 0;
  std::size_t end_mark_ = 0;

  std::vector<Row> rows_;      // kBatchRows of them
  std::size_t row_count_ = 0;  // in the batch
  RowBatch batch_;
};

}  // namespace backfill::rows
