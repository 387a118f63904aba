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
  [[nodiscard]] const std::vector<std::string>& field_names() const override {
    return field_names_;
  }
  [[nodiscard]] bool numeric_keys() const override { return false; }

 private:
  std::vector<std::string> keys_;
  std::vector<std::string> field_names_;
};

}  // namespace backfill::worker
