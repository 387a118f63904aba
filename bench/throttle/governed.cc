#include "bench/throttle/governed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "operator/throttle/governor.h"

namespace backfill::throttle_bench {
namespace {

using namespace std::chrono_literals;
using throttle::Governor;
using throttle::GovernorOptions;

constexpr Time kStart{std::chrono::hours(1)};
constexpr WallTime kWallStart{std::chrono::seconds(1'800'000'000)};
// The inner loop of a worker.
constexpr double kHeadroom = 1.25;
constexpr double kReferenceSeconds = 300;

Time At(int t) { return kStart + std::chrono::seconds(t); }

GovernorOptions OptionsFor(const Scenario& s, double limit) {
  GovernorOptions options;
  options.max_records_per_second = limit;
  options.floor = kFloor;
  options.initial = s.start_rate;
  options.grant_refresh = std::chrono::seconds(s.refresh);
  options.budgets.push_back({.name = "metric",
                             .bound = kBudget,
                             .critical = kCritical,
                             .target = s.target,
                             .timing = {.window = std::chrono::seconds(s.window),
                                        .scrape_interval = std::chrono::seconds(s.scrape),
                                        .delay = std::chrono::seconds(s.delay)},
                             .on_no_traffic = s.on_no_traffic});
  return options;
}

class Governed final : public Controller {
 public:
  Governed(const Scenario& scenario, double limit, bool inner_loop)
      : governor_(OptionsFor(scenario, limit)), inner_loop_(inner_loop) {
    inputs_.observations.resize(1);
    inputs_.records_wait = true;  // there is always more to do
  }

  double Tick(const Sight& sight) override {
    inputs_.paused = false;
    return Step(sight);
  }
  std::optional<int> GrantTtl() const override { return 30; }
  bool KnowsPauses() const override { return true; }
  void Pause(const Sight& sight) override {
    inputs_.paused = true;
    Step(sight);
  }
  double Resume(const Sight& sight) override {
    inputs_.paused = false;
    return Step(sight);
  }
  void Restart(int now) override {
    // What the status had at the last tick; every grant has expired since.
    const throttle::SavedGovernor saved = governor_.Save(At(last_tick_), WallAt(last_tick_));
    governor_ = Governor::Restore(governor_.options(), saved, At(now), WallAt(now));
  }

  double InnerFactor(double own) const override {
    if (!inner_loop_) return 1;
    return std::pow(std::min(1.0, kHeadroom * reference_ / own), 2);
  }
  void LearnLatency(double own) override {
    inputs_.inner_cut = InnerFactor(own) < 1;
    if (pressure_ <= 1) reference_ += (own - reference_) / kReferenceSeconds;
  }

 private:
  static WallTime WallAt(int t) { return kWallStart + std::chrono::seconds(t); }

  double Step(const Sight& sight) {
    throttle::Observation& said = inputs_.observations.front();
    said.time = At(std::max(sight.sampled, 0));
    said.detail.clear();
    if (sight.sampled < 0) {
      said = {};
    } else if (!sight.value) {
      said.answer = throttle::Answer::kError;
    } else if (std::isnan(*sight.value)) {
      said.answer = throttle::Answer::kNotANumber;
    } else {
      said.answer = throttle::Answer::kValue;
      said.value = *sight.value;
    }
    inputs_.sent = sight.sent_since_last_tick;
    const throttle::Decision decision = governor_.Step(inputs_, At(sight.now));
    pressure_ = decision.pressure;
    last_tick_ = sight.now;
    return decision.rate;
  }

  Governor governor_;
  const bool inner_loop_;
  throttle::Inputs inputs_;
  double pressure_ = 0;
  double reference_ = kBaseMs;
  int last_tick_ = 0;
};

}  // namespace

Contestant GovernorAlone() {
  return {"governor, outer loop only",
          [](const Scenario& s, double limit) -> std::unique_ptr<Controller> {
            return std::make_unique<Governed>(s, limit, false);
          }};
}

Contestant TheGovernor() {
  return {"governor", [](const Scenario& s, double limit) -> std::unique_ptr<Controller> {
            return std::make_unique<Governed>(s, limit, true);
          }};
}

}  // namespace backfill::throttle_bench
