#pragma once

#include <string>
#include <vector>

#include "worker/source/source.h"

namespace backfill::worker {

// An inline list: a record's position is its index.
class KeysSource final : public Source {
 public:
  explicit KeysSource(std::vector<std::string> keys) : keys_(std::move(keys)) {}

  Result<std::vector<Record>> Read(const Range& range) override;
  [[nodiscard]] bool numeric_keys() const override { return false; }

 private:
  std::vector<std::string> keys_;
};

}  // namespace backfill::worker
