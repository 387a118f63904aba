#pragma once

#include <string>
#include <vector>

#include "cli/terminal_text.h"

namespace backfill::cli {

// Rows in aligned columns, three blanks apart, as kubectl prints them. Cells are printable text;
// long ones are cut, the last column least. An empty cell is shown as "-", except in the last
// column.
class Table {
 public:
  struct Cell {
    std::string text;
    Color color = Color::kNone;
  };

  explicit Table(std::vector<std::string> header);
  // As many cells as the header has.
  void Add(std::vector<Cell> row);
  [[nodiscard]] std::string Render(const std::string& indent, bool color) const;

 private:
  std::vector<std::vector<Cell>> rows_;  // the header first
};

}  // namespace backfill::cli
