#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/decision_log/decision_log.h"
#include "operator/throttle/governor.h"

namespace backfill::decision_log {

// A decision that comes out differently now.
struct Difference {
  std::uint64_t line = 0;  // of the log, from 1
  std::string governor;
  std::string field;
  std::string logged;
  std::string now;
};

struct ReplayCounts {
  std::uint64_t lines = 0;
  std::uint64_t decisions = 0;   // made again
  std::uint64_t different = 0;   // of them
  std::uint64_t unanchored = 0;  // steps before the first start of their governor
  std::uint64_t invalid = 0;     // lines of ours that cannot be understood
};

// Makes the decisions of a log again and compares. After a difference a governor goes on from what
// it has decided now. Not thread-safe.
class Replay {
 public:
  static constexpr std::size_t kMaxGovernors = 1000;
  static constexpr std::size_t kMaxKept = 20;

  // The decision that was made again, if the line is one.
  std::optional<StepLine> Add(std::string_view line);

  [[nodiscard]] const ReplayCounts& counts() const { return counts_; }
  [[nodiscard]] std::size_t governors() const { return governors_.size(); }
  [[nodiscard]] const std::vector<Difference>& differences() const { return differences_; }
  // Of the first invalid line: "line 7: a step: now is missing".
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void Compare(const StepLine& logged, const throttle::Decision& now);

  std::map<std::string, throttle::Governor> governors_;
  ReplayCounts counts_;
  std::vector<Difference> differences_;  // the first ones
  std::string problem_;
};

}  // namespace backfill::decision_log
