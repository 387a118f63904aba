#pragma once

#include "rows/row_parser.h"

namespace backfill::rows {

// The line is the key, untrimmed.
class LinesParser final : public RowParser {
 public:
  std::span<const KeyOrFault> Keys(const RowBatch& batch) override;
  Record& Parse(const RowBatch& batch, const Row& row) override;
  [[nodiscard]] const std::vector<std::string>& field_names() const override { return names_; }

 private:
  static Fault Check(const RowBatch& batch, const Row& row);
  Record& Bad(const RowBatch& batch, const Row& row);

  const std::vector<std::string> names_;
  std::vector<KeyOrFault> keys_;
  Record record_;
};

}  // namespace backfill::rows
