#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operator/decision_log/decision_log.h"

namespace backfill::reconcile {

// A log of decisions that can be read at once.
class LinesInMemory final : public decision_log::DecisionSink {
 public:
  void Write(std::string_view line) override { lines.emplace_back(line); }
  [[nodiscard]] std::uint64_t Volume() const override { return 1; }

  std::vector<std::string> lines;
};

}  // namespace backfill::reconcile
