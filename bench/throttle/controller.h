#pragma once

#include <optional>
#include <string_view>

namespace backfill::throttle_bench {

inline constexpr double kBaseMs = 40;   // p99 of the target without load
inline constexpr double kBudget = 150;  // pressure 1
inline constexpr double kCritical = 400;

// What a controller is told at a tick.
struct Sight {
  int now = 0;                      // s
  std::optional<double> value;      // of the metric; nullopt: missing; NaN is one
  int sampled = 0;                  // when that was; long ago at the start
  double sent = 0;                  // records/s in the last second
  double sent_since_last_tick = 0;  // mean of records/s
  double own = kBaseMs;             // latency that the workers saw in the last second
};

// Decides a rate; one for each run. Not thread-safe.
class Controller {
 public:
  virtual ~Controller() = default;
  [[nodiscard]] virtual int Period() const { return 10; }  // s between ticks
  // Records/s from now on.
  virtual double Tick(const Sight& sight) = 0;

  // Workers stop so many seconds after the last tick; nullopt: the rate stays for ever.
  [[nodiscard]] virtual std::optional<int> GrantTtl() const { return std::nullopt; }
  // Whether it is told of pauses, stands still in them and says with which rate to go on.
  [[nodiscard]] virtual bool KnowsPauses() const { return false; }
  virtual void Pause(const Sight&) {}
  virtual double Resume(const Sight&) { return 0; }
  // The operator is back after it was down.
  virtual void Restart(int /*now*/) {}

  // The inner loop: what each worker makes of its grant, every second.
  [[nodiscard]] virtual double InnerFactor(double /*own*/) const { return 1; }
  virtual void LearnLatency(double /*own*/) {}
};

}  // namespace backfill::throttle_bench
