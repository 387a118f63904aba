#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.h"
#include "base/result.h"
#include "operator/decision_log/decision_sink.h"
#include "operator/throttle/governor.h"

// Decisions of a governor as lines of JSON that hold all that they depend on, so that any incident
// can be gone through again (replay.h). The fields are those of the structs in operator/throttle.
// Times are nanoseconds of a monotonic clock that only means something within one log.
namespace backfill::decision_log {

inline constexpr std::size_t kMaxLine = 1 << 20;  // bytes; longer ones are no lines of ours
inline constexpr std::size_t kMaxName = 200;      // bytes of a governor's name

// From here on that governor is this.
struct StartLine {
  std::string governor;  // tells those apart that share a log
  WallTime at{};         // for people
  throttle::GovernorOptions options;
  throttle::GovernorMemory memory;
};

struct StepLine {
  std::string governor;
  WallTime at{};
  Time now{};
  throttle::Inputs inputs;
  throttle::Decision decision;
};

using Line = std::variant<StartLine, StepLine>;

// One line each, without its end.
std::string Encode(const StartLine& line);
std::string Encode(const StepLine& line);
std::string Encode(const throttle::Decision& decision);

// nullopt: a line of something else. kInvalid: one of ours, but not what Encode() writes; whatever
// it says, what is returned else is safe to go on from.
Result<std::optional<Line>> Parse(std::string_view line);

// A governor whose every decision goes to a log, beginning with where it stands; that comes again
// now and then, as logs are cut off at their beginning. Not thread-safe. `log` outlives it; null:
// nothing is written.
class LoggedGovernor {
 public:
  LoggedGovernor(std::string_view name, throttle::Governor governor, DecisionSink* log);

  throttle::Decision Step(const throttle::Inputs& inputs, Time now, WallTime wall);
  void Reconfigure(throttle::GovernorOptions options);
  [[nodiscard]] const throttle::Governor& governor() const { return governor_; }

 private:
  void SayWhereItStands(WallTime wall);

  std::string name_;
  throttle::Governor governor_;
  DecisionSink* log_;
  int until_start_ = 0;  // steps
  std::uint64_t volume_ = 0;
};

}  // namespace backfill::decision_log
