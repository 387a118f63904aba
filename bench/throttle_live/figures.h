#pragma once

#include <deque>
#include <optional>
#include <string>

#include "bench/scale/samples.h"

namespace backfill::throttle_live {

// What was measured, as a table for people and as JSON. A goal is for the 95th percentile.
class Figures {
 public:
  struct Row {
    std::string what;
    std::string unit;
    std::optional<double> goal;
    scale::Samples samples;
    [[nodiscard]] bool Missed() const { return goal && samples.Quantile(0.95) > *goal; }
  };

  // Those of one name are one row.
  Row& Of(const std::string& what, const std::string& unit, std::optional<double> goal);
  [[nodiscard]] std::string Table() const;
  // With the load of the machine (1 minute) at the beginning and now.
  [[nodiscard]] std::string Json() const;

 private:
  static double Load();
  const double load_ = Load();
  std::deque<Row> rows_;  // references stay
};

}  // namespace backfill::throttle_live
