#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "operator/throttle/budget.h"

// What happens to a target while a backfill runs. The format of the files: README.md beside this.
namespace backfill::throttle_bench {

inline constexpr double kFloor = 5;  // minRecordsPerSecond of all scenarios

struct Span {  // seconds; half-open
  double from = 0;
  double to = 0;

  [[nodiscard]] bool Has(double t) const { return from <= t && t < to; }
};

// A number that changes with time.
class Signal {
 public:
  struct Step {
    Span span;
    double value = 0;
  };
  struct Repeated {
    double period = 1;
    Span within;  // of each period
    double value = 0;
  };

  double base = 0;
  double amplitude = 0;  // of a sine around the base
  double period = 1;
  std::vector<Step> steps;         // in place of all that; the last one that applies
  std::vector<Repeated> repeated;  // likewise

  [[nodiscard]] double At(double t) const;
};

// What the budget is on. Budget and critical are 150 and 400 for all of them.
enum class Shape {
  kLatency,  // p99 in ms of a queue
  kCliff,    // an error ratio: nothing, until the queue is 0.3 s long
  kLinear,   // utilisation
};

enum class Seen { kAll, kMissing, kStale };

struct Outage {
  Span span;
  Seen seen = Seen::kMissing;
};

struct Gate {
  std::string figure;
  std::optional<double> most;
  std::optional<double> least;
};

struct Scenario {
  std::string name;
  std::string title;  // "1 steady"
  int duration = 7200;
  Signal foreground;
  Signal capacity;
  Shape shape = Shape::kLatency;
  std::vector<Outage> outages;
  std::vector<Span> paused;
  std::vector<Span> operator_down;
  bool nan_when_idle = false;  // the metric exists only while the backfill sends
  std::optional<int> step_at;  // settling is measured from here
  double start_rate = 10;
  int window = 60;
  int scrape = 15;
  int delay = 5;
  int refresh = 3;  // from a decision to its effect
  double noise = 0.05;
  double target = 0.85;
  throttle::OnNoTraffic on_no_traffic = throttle::OnNoTraffic::kMissing;
  bool variant = false;  // of another one: for the governor alone, and not in the means
  std::vector<Gate> gates;

  [[nodiscard]] Seen SeenAt(double t) const;
  [[nodiscard]] bool PausedAt(double t) const;
  [[nodiscard]] bool OperatorDownAt(double t) const;
  // Utilisation at which the metric is exactly on budget.
  [[nodiscard]] double BestUtilisation() const;
};

// kInvalid: what is wrong and in which line.
Result<Scenario> ParseScenario(const std::string& text);
// All *.yaml of a folder, by name. kNotFound: there are none.
Result<std::vector<Scenario>> ReadScenarios(const std::string& folder);

}  // namespace backfill::throttle_bench
