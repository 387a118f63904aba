#pragma once

#include <memory>
#include <string>

namespace backfill::certificates {

// The authorities that workers are to trust, which change over time. Thread-safe.
class CaBundle {
 public:
  virtual ~CaBundle() = default;
  // PEM, certificates and nothing else. nullptr: there is none yet. Must not block.
  [[nodiscard]] virtual std::shared_ptr<const std::string> Bundle() const = 0;
};

}  // namespace backfill::certificates
