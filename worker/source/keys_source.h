#pragma once

#include <string>
#include <utility>
#include <vector>

#include "worker/source/source.h"

namespace backfill::worker {

// A list: a record's position is its index.
class KeysSource final : public Source {
 public:
  explicit KeysSource(std::vector<std::string> keys, bool numeric = false)
      : keys_(std::move(keys)), numeric_(numeric) {}

  Result<std::vector<Record>> Read(const Range& range) override;
  [[nodiscard]] bool numeric_keys() const override { return numeric_; }

 private:
  const std::vector<std::string> keys_;
  const bool numeric_;
};

}  // namespace backfill::worker
