#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "bench/throttle/controller.h"
#include "bench/throttle/scenario.h"

// A target with one queue, in steps of a second, and a backfill that sends what a controller says.
namespace backfill::throttle_bench {

struct Figures {
  double over = 0;    // % of the time with room for a backfill in which the target is over budget
  double sev = 0;     // how far, in budget-seconds
  double peak = 0;    // highest share of the budget
  double crit_s = 0;  // seconds at critical
  double thr = 0;     // % of the records that could have been sent within budget
  double settle =
      0;             // s after a step until in budget and at 60 % of what is possible; NaN: no step
  double flips = 0;  // changes of direction per hour
  double blind = 0;  // records sent without a metric
  double late = 0;   // records sent more than a ttl after the operator went down
};

inline constexpr std::size_t kFigures = 9;
using FigureArray = std::array<std::string_view, kFigures>;
const FigureArray& FigureNames();
double& Figure(Figures& figures, std::size_t index);
double Figure(const Figures& figures, std::size_t index);

// One run. The same seed is the same weather for every controller that behaves the same.
Figures Simulate(const Scenario& scenario, Controller& controller, double limit,
                 std::uint64_t seed);

}  // namespace backfill::throttle_bench
