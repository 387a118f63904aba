#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <random>

#include "bench/throttle/controller.h"
#include "bench/throttle/scenario.h"

namespace backfill::throttle_bench {

// A target with one queue, in steps of a second, and its metric as a controller sees it.
class Target {
 public:
  // A part of the target that the scenario describes: of its foreground, of its capacity.
  struct Part {
    double foreground = 1;
    double capacity = 1;
  };
  struct Second {
    double capacity = 0;  // records/s and foreground together
    double latency = 0;   // ms, as workers see it
    double metric = 0;    // as it truly is
    double best = 0;      // records/s that keep it on budget; 0 or less: the foreground is over it
  };

  // The scenario outlives it. The same seed is the same weather.
  Target(const Scenario& scenario, std::uint64_t seed) : Target(scenario, seed, Part{}) {}
  Target(const Scenario& scenario, std::uint64_t seed, const Part& part)
      : s_(scenario), part_(part), random_(seed) {}

  // In this second so many records are sent to it.
  Second Advance(int t, double sent);

  [[nodiscard]] double own() const { return own_; }  // latency, as smoothed by a worker
  [[nodiscard]] std::optional<double> value() const { return value_; }  // nullopt: missing
  [[nodiscard]] int sampled() const { return sampled_; }

 private:
  struct Point {
    double value = 0;
    bool exists = true;
  };
  // On its way from the target to the controller.
  struct Sample {
    int arrives = 0;
    std::optional<double> value;
    int taken = 0;
  };

  void Observe(int t, double metric, double sent);
  double SampleNow();

  const Scenario& s_;
  const Part part_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::deque<Point> window_;
  std::deque<Sample> samples_;
  std::optional<double> value_;
  int sampled_ = -1'000'000;  // long ago
  double queue_ = 0;
  double own_ = kBaseMs;
};

}  // namespace backfill::throttle_bench
