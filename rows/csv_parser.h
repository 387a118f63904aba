#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rows/row_parser.h"

namespace backfill::rows {

// What may be wrong where a file has no column of that name: "; did you mean \"ID\"?", or that its
// delimiter seems to be another one. Empty: nothing comes to mind.
std::string HintOnColumn(std::string_view name, const std::vector<std::string>& columns,
                         char delimiter);
// Its columns, for such a message: "ID", "a", and 3 more.
std::string Listed(const std::vector<std::string>& columns);

// RFC 4180 with a header: its names are the fields' names, all columns are fields.
class CsvParser final : public RowParser {
 public:
  // kInvalid: no column is called as the key is.
  static Result<std::unique_ptr<CsvParser>> Make(const FileFormat& format,
                                                 std::vector<std::string> header);

  std::span<const KeyOrFault> Keys(const RowBatch& batch) override;
  Record& Parse(const RowBatch& batch, const Row& row) override;
  [[nodiscard]] const std::vector<std::string>& field_names() const override { return names_; }

 private:
  CsvParser(std::vector<std::string> header, std::size_t key_column)
      : names_(std::move(header)), key_column_(key_column), fields_(names_.size()) {}

  KeyOrFault Key(const RowBatch& batch, const Row& row);
  [[nodiscard]] Fault Check(const RowBatch& batch, const Row& row) const;
  Record& ParseOther(const RowBatch& batch, const Row& row);
  Record& BadKey(const Row& row);
  std::string_view Column(const RowBatch& batch, const Row& row, std::size_t column);

  const std::vector<std::string> names_;
  const std::size_t key_column_;
  std::vector<std::string_view> fields_;
  std::vector<KeyOrFault> keys_;
  std::deque<std::string> unquoted_;  // columns that had doubled quotes; views stay valid
  Record record_;
};

}  // namespace backfill::rows
