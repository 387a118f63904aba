#pragma once

#include "worker/source/source.h"

namespace backfill::worker {

// Whole numbers: a record's key is its position.
class RangeSource final : public Source {
 public:
  Result<std::vector<Record>> Read(const Range& range) override;
  [[nodiscard]] const std::vector<std::string>& field_names() const override {
    return field_names_;
  }
  [[nodiscard]] bool numeric_keys() const override { return true; }

 private:
  std::vector<std::string> field_names_;
};

}  // namespace backfill::worker
