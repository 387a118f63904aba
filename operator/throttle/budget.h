#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

// What the owner of a target allows a backfill to do to it, one metric at a time.
namespace backfill::throttle {

using namespace std::chrono_literals;

inline constexpr std::size_t kMaxBudgets = 16;

// On which side of the bound the metric has to stay.
enum class Direction { kMax, kMin };

// One series of the metric for the whole target, or one for each partition of it.
enum class Scope { kGlobal, kPartition };

// What a required metric that stays away does to the rate, from GovernorOptions::missing.after on.
enum class OnMissing {
  kHold,    // 0
  kFloor,   // the floor
  kFreeze,  // stays as it is, and does not land before either
  kIgnore,  // as if not required, while another required metric is fresh; else as kHold
};

// What "no series" and NaN mean, which many queries answer when there is no traffic.
enum class OnNoTraffic {
  kMissing,  // what it says: the metric is missing
  kZero,     // nothing happens at the target: pressure 0
  kProbe,    // the metric exists only while records flow: send a few to see it again
};

// How old what a source says can be. The defaults are those of a usual Prometheus.
struct Timing {
  Duration interval = 10s;         // asked this often
  Duration window = 60s;           // the metric is a mean or rate over so long
  Duration scrape_interval = 15s;  // a new sample appears this often
  Duration delay = 5s;             // from the sample to the answer
  std::optional<Duration> stale_after =
      std::nullopt;  // unset: the larger of 3 scrape intervals and 60 s

  bool operator==(const Timing&) const = default;
};

struct Budget {
  std::string name = {};  // unique among the budgets of a governor
  Direction direction = Direction::kMax;
  double bound = 0;                               // pressure 1
  std::optional<double> critical = std::nullopt;  // here the backfill is held; unset: at pressure 2
  std::optional<double> ideal =
      std::nullopt;      // pressure 0; unset: 0 for a maximum, 1 for a minimum
  double target = 0.85;  // the pressure that is steered for
  bool required = true;  // without the metric the rate does not rise, and falls in time
  bool enforce = true;   // false: measured and reported only
  Scope scope = Scope::kGlobal;
  Timing timing = {};
  OnMissing on_missing = OnMissing::kHold;
  OnNoTraffic on_no_traffic = OnNoTraffic::kMissing;

  [[nodiscard]] std::string Validate() const;  // empty: fine

  bool operator==(const Budget&) const = default;
};

// How much of the budget the value takes: 0 at the ideal, 1 on the bound, for both directions.
// Finite for every finite value; NaN for NaN.
[[nodiscard]] double Pressure(const Budget& budget, double value);
[[nodiscard]] double CriticalPressure(const Budget& budget);
// Half the width of the band around the target within which the rate stays.
[[nodiscard]] double Deadband(const Budget& budget);
[[nodiscard]] Duration StaleAfter(const Timing& timing);
// From sending a record until the metric shows it, without the way of a grant to a worker.
[[nodiscard]] Duration Lag(const Timing& timing);

std::string_view ToString(Direction direction);        // max, min
std::string_view ToString(Scope scope);                // Global, Partition
std::string_view ToString(OnMissing on_missing);       // Hold, Floor, Freeze, Ignore
std::string_view ToString(OnNoTraffic on_no_traffic);  // Missing, Zero, Probe

}  // namespace backfill::throttle
