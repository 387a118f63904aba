#pragma once

#include "worker/source/source.h"

namespace backfill::worker {

// Whole numbers: a record's key is its position.
class RangeSource final : public Source {
 public:
  Result<std::vector<Record>> Read(const Range& range) override;
  [[nodiscard]] bool numeric_keys() const override { return true; }
};

}  // namespace backfill::worker
