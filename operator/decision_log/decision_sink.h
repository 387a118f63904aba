#pragma once

#include <cstdint>
#include <string_view>

namespace backfill::decision_log {

// Where the lines of all governors of a process go. Thread-safe.
class DecisionSink {
 public:
  virtual ~DecisionSink() = default;

  // One line, without its end. Returns at once, whatever the disk does; what cannot be kept is
  // dropped.
  virtual void Write(std::string_view line) = 0;

  // Rises whenever lines before the next one may be missing or stand elsewhere. Then a governor
  // says again where it stands, so that what follows can be replayed by itself.
  [[nodiscard]] virtual std::uint64_t Volume() const = 0;
};

}  // namespace backfill::decision_log
