#pragma once

#include "rows/row_parser.h"

namespace backfill::rows {

// The line is the key, untrimmed.
class LinesParser final : public RowParser {
 public:
  KeyOrFault Key(const RowBatch& batch, const Row& row) override;
  void Forget() override {}
  Record& Parse(const RowBatch& batch, const Row& row) override;
  [[nodiscard]] const std::vector<std::string>& field_names() const override { return names_; }

 private:
  const std::vector<std::string> names_;
  Record record_;
};

}  // namespace backfill::rows
