#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "base/clock.h"

namespace backfill::scale {

inline double Millis(Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

// Measured values, and what can be said of them. Not thread-safe.
class Samples {
 public:
  void Add(double value) { values_.push_back(value); }
  void Add(const Samples& more) {
    values_.insert(values_.end(), more.values_.begin(), more.values_.end());
  }
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  // The smallest value that this part of all does not exceed; 0 without any.
  [[nodiscard]] double Quantile(double part) const {
    if (values_.empty()) return 0;
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const auto rank = static_cast<std::size_t>(part * static_cast<double>(sorted.size()));
    return sorted[std::min(rank, sorted.size() - 1)];
  }
  [[nodiscard]] double Max() const { return Quantile(1); }
  [[nodiscard]] double Last() const { return values_.empty() ? 0 : values_.back(); }

 private:
  std::vector<double> values_;
};

}  // namespace backfill::scale
