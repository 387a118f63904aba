#include "cli/table.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace backfill::cli {
namespace {

constexpr std::size_t kMaxColumn = 64;
constexpr std::size_t kMaxLastColumn = 512;

}  // namespace

Table::Table(std::vector<std::string> header) {
  std::vector<Cell> row;
  row.reserve(header.size());
  for (std::string& name : header) row.push_back({std::move(name)});
  rows_.push_back(std::move(row));
}

void Table::Add(std::vector<Cell> row) {
  assert(row.size() == rows_.front().size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool last = i + 1 == row.size();
    row[i].text = Fit(row[i].text, last ? kMaxLastColumn : kMaxColumn);
    if (row[i].text.empty() && !last) row[i].text = "-";
  }
  rows_.push_back(std::move(row));
}

std::string Table::Render(const std::string& indent, bool color) const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], Columns(row[i].text));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line = indent;
    std::size_t owed = 0;  // blanks that are due if something follows
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!row[i].text.empty()) {
        line += std::string(std::exchange(owed, 0), ' ') + Paint(row[i].text, row[i].color, color);
      }
      owed += widths[i] - Columns(row[i].text) + 3;
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace backfill::cli
