#include "bench/throttle/baselines.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>

namespace backfill::throttle_bench {
namespace {

bool Usable(const Sight& sight) { return sight.value && !std::isnan(*sight.value); }

// gh-ost: workers at a fixed rate while the metric is below the budget; none above it, nor without
// a metric; from critical it hibernates.
class OnOffGate : public Controller {
 public:
  explicit OnOffGate(double limit) : limit_(limit) {}
  int Period() const override { return 1; }
  double Tick(const Sight& sight) override {
    if (sight.now < hibernates_until_ || !Usable(sight)) return 0;
    if (*sight.value >= kCritical) hibernates_until_ = sight.now + kHibernate;
    return *sight.value >= kBudget ? 0 : limit_;
  }

 private:
  static constexpr int kHibernate = 300;  // s
  const double limit_;
  int hibernates_until_ = -1;
};

// The same gate before a single copier that waits for each answer: slower when answers are.
class ClosedLoopGate final : public OnOffGate {
 public:
  using OnOffGate::OnOffGate;
  double InnerFactor(double own) const override { return kBaseMs / own; }
};

// pt-online-schema-change: chunks that take constant time, by a weighted mean of its rate; stops
// above the budget, dies at critical (and is started again by someone half an hour later).
class ChunkTime final : public Controller {
 public:
  explicit ChunkTime(double limit) : limit_(limit) {}
  int Period() const override { return 1; }
  double Tick(const Sight& sight) override {
    if (sight.now < dead_until_) return 0;
    if (Usable(sight) && *sight.value >= kBudget) {
      if (*sight.value >= kCritical) dead_until_ = sight.now + kDeath;
      return 0;
    }
    sum_ = sum_ * kAverage + limit_ * kBaseMs / std::max(kBaseMs, sight.own);
    weight_ = weight_ * kAverage + 1;
    return std::min(limit_, sum_ / weight_);
  }

 private:
  static constexpr double kAverage = 0.75;
  static constexpr int kDeath = 1800;  // s
  const double limit_;
  double sum_ = 0;
  double weight_ = 0;
  int dead_until_ = -1;
};

struct AimdSteps {
  double raise = 0;  // of the limit
  double cut = 1;
};

class Aimd final : public Controller {
 public:
  Aimd(double start, double limit, AimdSteps steps) : rate_(start), limit_(limit), steps_(steps) {}
  double Tick(const Sight& sight) override {
    if (!Usable(sight)) return rate_;
    rate_ = *sight.value > kBudget ? std::max(kFloor, rate_ * steps_.cut)
                                   : std::min(limit_, rate_ + steps_.raise * limit_);
    return rate_;
  }

 private:
  double rate_;
  const double limit_;
  const AimdSteps steps_;
};

// Netflix concurrency-limits, Gradient2, on the rate: knows no budget.
class Gradient2 final : public Controller {
 public:
  Gradient2(double start, double limit) : rate_(start), limit_(limit) {}
  double Tick(const Sight& sight) override {
    if (!Usable(sight)) return rate_;
    const double value = *sight.value;
    ++samples_;
    const double weight = samples_ <= kWarmUp ? 1.0 / samples_ : 2.0 / (kLongWindow + 1);
    long_ = long_ ? *long_ * (1 - weight) + value * weight : value;
    if (*long_ / value > 2) *long_ *= 0.95;
    if (sight.sent < rate_ / 2) return rate_;
    const double gradient = std::clamp(kTolerance * *long_ / value, 0.5, 1.0);
    const double wanted = rate_ * gradient + 4 * limit_ / 200;
    rate_ = std::clamp(rate_ * (1 - kSmoothing) + wanted * kSmoothing, kFloor, limit_);
    return rate_;
  }

 private:
  static constexpr int kWarmUp = 10;  // samples
  static constexpr double kLongWindow = 600;
  static constexpr double kTolerance = 1.5;
  static constexpr double kSmoothing = 0.2;
  double rate_;
  const double limit_;
  std::optional<double> long_;
  int samples_ = 0;
};

// Kubernetes HPA: in proportion to budget / value, with a tolerance of 10 %; raises take the least
// that was advised in five minutes.
class HpaRatio final : public Controller {
 public:
  HpaRatio(double start, double limit) : rate_(start), limit_(limit) {}
  int Period() const override { return 15; }
  double Tick(const Sight& sight) override {
    if (!Usable(sight)) return rate_;
    const bool near = std::abs(*sight.value / kBudget - 1) < 0.1;
    const double wanted = near ? rate_ : rate_ * kBudget / std::max(*sight.value, 1.0);
    while (!advice_.empty() && advice_.front().at < sight.now - kStabilisation) advice_.pop_front();
    advice_.push_back({.at = sight.now, .rate = wanted});
    if (wanted < rate_) {
      rate_ = std::max(kFloor, wanted);
      return rate_;
    }
    double least = wanted;
    for (const Advice& a : advice_) least = std::min(least, a.rate);
    rate_ = std::min({limit_, std::max(rate_, least), rate_ * kMostRaise});
    return rate_;
  }

 private:
  struct Advice {
    int at = 0;
    double rate = 0;
  };
  static constexpr int kStabilisation = 300;  // s
  static constexpr double kMostRaise = 1.19;  // doubling in a minute
  double rate_;
  const double limit_;
  std::deque<Advice> advice_;
};

// A proportional-integral controller of the logarithm of the rate, aiming at 90 % of the budget.
class PiOnLogRate final : public Controller {
 public:
  PiOnLogRate(double start, double limit) : rate_(start), limit_(limit) {}
  double Tick(const Sight& sight) override {
    if (!Usable(sight)) return rate_;
    const double error = std::clamp(0.9 - *sight.value / kBudget, -1.5, 1.0);
    const double step = 0.3 * (error - last_) + 0.08 * error;
    rate_ = std::clamp(rate_ * std::exp(step), kFloor, limit_);
    last_ = error;
    return rate_;
  }

 private:
  double rate_;
  const double limit_;
  double last_ = 0;
};

}  // namespace

std::vector<Contestant> Baselines() {
  using C = std::unique_ptr<Controller>;
  return {
      {"on/off gate",
       [](const Scenario&, double limit) -> C { return std::make_unique<OnOffGate>(limit); }},
      {"on/off gate, closed loop",
       [](const Scenario&, double limit) -> C { return std::make_unique<ClosedLoopGate>(limit); }},
      {"chunk time (pt-osc)",
       [](const Scenario&, double limit) -> C { return std::make_unique<ChunkTime>(limit); }},
      {"AIMD +2 %/x0.7",
       [](const Scenario& s, double limit) -> C {
         return std::make_unique<Aimd>(s.start_rate, limit, AimdSteps{.raise = 0.02, .cut = 0.7});
       }},
      {"AIMD +1 %/x0.9",
       [](const Scenario& s, double limit) -> C {
         return std::make_unique<Aimd>(s.start_rate, limit, AimdSteps{.raise = 0.01, .cut = 0.9});
       }},
      {"Gradient2",
       [](const Scenario& s, double limit) -> C {
         return std::make_unique<Gradient2>(s.start_rate, limit);
       }},
      {"HPA ratio",
       [](const Scenario& s, double limit) -> C {
         return std::make_unique<HpaRatio>(s.start_rate, limit);
       }},
      {"PI on log rate",
       [](const Scenario& s, double limit) -> C {
         return std::make_unique<PiOnLogRate>(s.start_rate, limit);
       }},
  };
}

}  // namespace backfill::throttle_bench
