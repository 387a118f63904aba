#include "bench/throttle/plant.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <limits>
#include <optional>
#include <random>
#include <vector>

namespace backfill::throttle_bench {
namespace {

constexpr double kQueueSeconds = 5;  // of work, at most
constexpr double kKnee = (kBudget / kBaseMs - 1) / 0.5;
constexpr double kForegroundNoise = 0.02;
constexpr double kOwnWeight = 0.4;  // EWMA of what workers see
constexpr int kLongAgo = -1'000'000;
constexpr int kLateAfter = 30;  // s

double P99(double rho, double queue_s) {
  const double u = std::clamp(rho, 0.0, 0.98);
  return kBaseMs * (1 + 0.5 * u / (1 - u)) + 1000 * queue_s;
}

double Metric(Shape shape, double latency, double rho, double queue_s) {
  switch (shape) {
    case Shape::kLatency:
      return latency;
    case Shape::kCliff: {
      const double errors = 0.0005 + std::min(0.5, std::max(0.0, queue_s - 0.3) * 0.2);
      return kBudget * errors / 0.01;
    }
    case Shape::kLinear:
      return kBudget * std::min(1.0, rho) / 0.80;
  }
  std::abort();
}

struct Second {  // of the trace
  double sent = 0;
  double best = 0;
  double metric = 0;
};

// A sample on its way from the target to the controller.
struct Sample {
  int arrives = 0;
  std::optional<double> value;
  int taken = 0;
};

struct PendingRate {
  int at = 0;
  double rate = 0;
};

double SettlingTime(const Scenario& s, const std::vector<Second>& trace) {
  if (!s.step_at) return std::numeric_limits<double>::quiet_NaN();
  const auto step = static_cast<std::size_t>(*s.step_at);
  int good = 0;
  for (std::size_t t = step; t < trace.size(); ++t) {
    const std::size_t first = t >= step + 59 ? t - 59 : step;
    double sent = 0;
    double worst = 0;
    for (std::size_t i = first; i <= t; ++i) {
      sent += trace[i].sent;
      worst = std::max(worst, trace[i].metric);
    }
    const bool enough = sent / static_cast<double>(t - first + 1) >= 0.6 * trace[t].best;
    good = enough && worst <= 1.05 * kBudget ? good + 1 : 0;
    if (good >= 120) return static_cast<double>(t - 119 - step);
  }
  return static_cast<double>(trace.size() - step);
}

// The run of one scenario.
class Run {
 public:
  Run(const Scenario& scenario, Controller& controller, double limit, std::uint64_t seed)
      : s_(scenario),
        controller_(controller),
        limit_(limit),
        random_(seed),
        applied_(scenario.start_rate),
        last_rate_(scenario.start_rate) {}

  Figures Go() {
    trace_.reserve(static_cast<std::size_t>(s_.duration));
    for (int t = 0; t < s_.duration; ++t) Step(t);
    return Summarise();
  }

 private:
  void Step(int t) {
    const double foreground = s_.foreground.At(t) * (1 + kForegroundNoise * normal_(random_));
    const double capacity = s_.capacity.At(t);
    while (!rates_.empty() && rates_.front().at <= t) {
      applied_ = rates_.front().rate;
      rates_.pop_front();
    }
    const bool paused = s_.PausedAt(t);
    const bool down = s_.OperatorDownAt(t);
    FollowPauses(t, paused);
    const double sent = Sent(t, paused, down);
    sum_sent_ += sent;
    ++seconds_;

    queue_ = std::clamp(queue_ + foreground + sent - capacity, 0.0, kQueueSeconds * capacity);
    const double rho = (foreground + sent) / capacity;
    const double queue_s = queue_ / capacity;
    const double latency = P99(rho, queue_s);
    own_ = own_ * (1 - kOwnWeight) + latency * kOwnWeight;
    controller_.LearnLatency(own_);
    const double metric = Metric(s_.shape, latency, rho, queue_s);
    Observe(t, metric, sent);

    if (was_down_ && !down) controller_.Restart(t);
    was_down_ = down;
    if (t % controller_.Period() == 0 && !down) Tick(t, sent, latency, paused);
    Count(t, sent, metric, capacity, down);
  }

  Sight See(int t, double sent, double latency) {
    const double mean = seconds_ > 0 ? sum_sent_ / seconds_ : sent;
    return {.now = t,
            .value = value_,
            .sampled = sampled_,
            .sent = sent,
            .sent_since_last_tick = mean,
            .own = latency};
  }

  // Those that know pauses hear of them at once, and so do their workers.
  void FollowPauses(int t, bool paused) {
    if (was_paused_ && !paused && controller_.KnowsPauses()) {
      applied_ = controller_.Resume(See(t, 0, own_));
      rates_.clear();
    }
    was_paused_ = paused;
  }

  double Sent(int t, bool paused, bool down) {
    const std::optional<int> ttl = controller_.GrantTtl();
    if (down && ttl && t - last_tick_ > *ttl) applied_ = 0;  // what expired does not come back
    if (paused) return 0;
    return std::min({applied_, limit_, applied_ * controller_.InnerFactor(own_)});
  }

  void Observe(int t, double metric, double sent) {
    window_.push_back({.value = metric, .exists = !s_.nan_when_idle || sent >= 0.5});
    if (window_.size() > static_cast<std::size_t>(s_.window) + 1) window_.pop_front();
    const Seen seen = s_.SeenAt(t);
    if (t % s_.scrape == 0 && seen != Seen::kStale)
      samples_.push_back({.arrives = t + s_.delay,
                          .value = seen == Seen::kAll ? std::optional(SampleNow()) : std::nullopt,
                          .taken = t});
    while (!samples_.empty() && samples_.front().arrives <= t) {
      value_ = samples_.front().value;
      sampled_ = samples_.front().taken;
      samples_.pop_front();
    }
  }

  // Mean of the window with its noise.
  double SampleNow() {
    double sum = 0;
    int n = 0;
    for (const Point& point : window_) {
      if (!point.exists) continue;
      sum += point.value;
      ++n;
    }
    if (n == 0) return std::numeric_limits<double>::quiet_NaN();
    return sum / n * std::exp(s_.noise * normal_(random_));
  }

  void Tick(int t, double sent, double latency, bool paused) {
    const Sight sight = See(t, sent, latency);
    sum_sent_ = 0;
    seconds_ = 0;
    if (paused && controller_.KnowsPauses()) {
      controller_.Pause(sight);
      return;
    }
    last_tick_ = t;
    const double rate = controller_.Tick(sight);
    rates_.push_back({.at = t + s_.refresh, .rate = rate});
    const int turn = (rate > last_rate_ * 1.01 ? 1 : 0) - (rate < last_rate_ * 0.99 ? 1 : 0);
    if (turn * direction_ < 0) ++figures_.flips;
    if (turn != 0) direction_ = turn;
    last_rate_ = rate;
  }

  void Count(int t, double sent, double metric, double capacity, bool down) {
    const double best = s_.BestUtilisation() * capacity - s_.foreground.At(t);
    if (best > 0) {  // else the foreground alone is over budget
      ++eligible_;
      if (metric > kBudget) ++figures_.over;
      figures_.sev += std::max(0.0, metric / kBudget - 1);
      figures_.peak = std::max(figures_.peak, metric / kBudget);
      if (metric >= kCritical) ++figures_.crit_s;
    }
    trace_.push_back({.sent = sent, .best = std::clamp(best, 0.0, limit_), .metric = metric});
    if (s_.SeenAt(t) != Seen::kAll) figures_.blind += sent;
    if (down && t - last_tick_ > kLateAfter) figures_.late += sent;
  }

  Figures Summarise() {
    double sent = 0;
    double best = 0;
    for (const Second& second : trace_) {
      sent += second.sent;
      best += second.best;
    }
    figures_.over = 100 * figures_.over / std::max(1, eligible_);
    figures_.thr = 100 * sent / std::max(1.0, best);
    figures_.settle = SettlingTime(s_, trace_);
    figures_.flips /= s_.duration / 3600.0;
    return figures_;
  }

  struct Point {
    double value = 0;
    bool exists = true;
  };

  const Scenario& s_;
  Controller& controller_;
  const double limit_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;

  double applied_;
  double last_rate_;
  std::deque<PendingRate> rates_;
  std::deque<Point> window_;
  std::deque<Sample> samples_;
  std::optional<double> value_;
  int sampled_ = kLongAgo;
  double queue_ = 0;
  double own_ = kBaseMs;
  int last_tick_ = 0;
  bool was_paused_ = false;
  bool was_down_ = false;
  int direction_ = 0;
  double sum_sent_ = 0;
  int seconds_ = 0;
  int eligible_ = 0;
  Figures figures_;
  std::vector<Second> trace_;
};

constexpr std::array<double Figures::*, kFigures> kMembers = {
    &Figures::over,   &Figures::sev,   &Figures::peak,  &Figures::crit_s, &Figures::thr,
    &Figures::settle, &Figures::flips, &Figures::blind, &Figures::late};

}  // namespace

const FigureArray& FigureNames() {
  static constexpr FigureArray kNames = {"over",   "sev",   "peak",  "crit_s", "thr",
                                         "settle", "flips", "blind", "late"};
  return kNames;
}

double& Figure(Figures& figures, std::size_t index) { return figures.*kMembers.at(index); }
double Figure(const Figures& figures, std::size_t index) { return figures.*kMembers.at(index); }

double Scenario::BestUtilisation() const {
  switch (shape) {
    case Shape::kLatency:
      return kKnee / (1 + kKnee);
    case Shape::kCliff:
      return 0.97;
    case Shape::kLinear:
      return 0.80;
  }
  std::abort();
}

Figures Simulate(const Scenario& scenario, Controller& controller, double limit,
                 std::uint64_t seed) {
  return Run(scenario, controller, limit, seed).Go();
}

}  // namespace backfill::throttle_bench
