#include "reference.h"

#include <algorithm>

namespace backfill::rows {
namespace {

// The index of the LF that ends the row at `begin`, or the file's size.
std::size_t EndOf(const std::string& file, std::size_t begin, Format format, char delimiter,
                  bool& bad, std::vector<std::string>& columns) {
  bool open = false;
  bool closed = false;
  std::string column;
  bool at_start = true;
  std::size_t i = begin;
  for (; i < file.size(); ++i) {
    const char c = file[i];
    if (c == '\n' && (!open || i - begin > kMaxRowBytes)) break;
    if (format != Format::kCsv) continue;
    const bool was_start = at_start;
    at_start = false;
    if (open) {
      if (c == '"' && i + 1 < file.size() && file[i + 1] == '"') {
        column += '"';
        ++i;
      } else if (c == '"') {
        open = false;
        closed = true;
      } else {
        column += c;
      }
      continue;
    }
    if (c == delimiter) {
      columns.push_back(column);
      column.clear();
      closed = false;
      at_start = true;
      continue;
    }
    const bool ends = c == '\r' && (i + 1 == file.size() || file[i + 1] == '\n');
    if (ends) continue;
    if (closed) bad = true;
    if (c == '"') {
      if (was_start && !bad) {
        open = true;
        continue;
      }
      bad = true;
    }
    column += c;
  }
  if (open) bad = true;
  columns.push_back(column);
  return std::min(i, file.size());
}

}  // namespace

std::vector<ReferenceRow> ReadByReference(const std::string& file, Format format, char delimiter) {
  std::vector<ReferenceRow> rows;
  std::uint64_t line = 1;
  for (std::size_t begin = 0; begin < file.size();) {
    bool bad = false;
    std::vector<std::string> columns;
    const std::size_t at = EndOf(file, begin, format, delimiter, bad, columns);
    const std::size_t next = std::min(at + 1, file.size());
    ReferenceRow row{.offset = begin, .end = next, .line = line};
    if (at - begin > kMaxRowBytes) {
      row.fault = Fault::kTooLong;
    } else {
      row.text = file.substr(begin, at - begin);
      if (row.text.ends_with('\r')) row.text.pop_back();
      if (bad) row.fault = Fault::kQuotes;
      if (format == Format::kCsv && !bad) row.columns = columns;
    }
    line += static_cast<std::uint64_t>(std::count(file.begin() + static_cast<std::ptrdiff_t>(begin),
                                                  file.begin() + static_cast<std::ptrdiff_t>(next),
                                                  '\n'));
    if (!row.text.empty() || row.fault == Fault::kTooLong) rows.push_back(row);
    begin = next;
  }
  return rows;
}

void PrintTo(const ReferenceRow& row, std::ostream* out) {
  *out << "[" << row.offset << ", " << row.end << ") line " << row.line << " fault "
       << static_cast<int>(row.fault) << " \"" << row.text.substr(0, 80) << "\" columns:";
  for (const std::string& c : row.columns) *out << " <" << c.substr(0, 40) << ">";
}

}  // namespace backfill::rows
