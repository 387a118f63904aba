#include "bench/throttle/plant.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "bench/throttle/target.h"

namespace backfill::throttle_bench {
namespace {

constexpr int kLateAfter = 30;  // s

struct Second {  // of the trace
  double sent = 0;
  double best = 0;
  double metric = 0;
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
        target_(scenario, seed),
        applied_(scenario.start_rate),
        last_rate_(scenario.start_rate) {}

  Figures Go() {
    trace_.reserve(static_cast<std::size_t>(s_.duration));
    for (int t = 0; t < s_.duration; ++t) Step(t);
    return Summarise();
  }

 private:
  void Step(int t) {
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

    const Target::Second second = target_.Advance(t, sent);
    controller_.LearnLatency(target_.own());

    if (was_down_ && !down) controller_.Restart(t);
    was_down_ = down;
    if (t % controller_.Period() == 0 && !down) Tick(t, sent, second.latency, paused);
    Count(t, sent, second, down);
  }

  Sight See(int t, double sent, double latency) {
    const double mean = seconds_ > 0 ? sum_sent_ / seconds_ : sent;
    return {.now = t,
            .value = target_.value(),
            .sampled = target_.sampled(),
            .sent = sent,
            .sent_since_last_tick = mean,
            .own = latency};
  }

  // Those that know pauses hear of them at once, and so do their workers.
  void FollowPauses(int t, bool paused) {
    if (was_paused_ && !paused && controller_.KnowsPauses()) {
      applied_ = controller_.Resume(See(t, 0, target_.own()));
      rates_.clear();
    }
    was_paused_ = paused;
  }

  double Sent(int t, bool paused, bool down) {
    const std::optional<int> ttl = controller_.GrantTtl();
    if (down && ttl && t - last_tick_ > *ttl) applied_ = 0;  // what expired does not come back
    if (paused) return 0;
    return std::min({applied_, limit_, applied_ * controller_.InnerFactor(target_.own())});
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

  void Count(int t, double sent, const Target::Second& second, bool down) {
    const double metric = second.metric;
    const double best = second.best;
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

  const Scenario& s_;
  Controller& controller_;
  const double limit_;
  Target target_;

  double applied_;
  double last_rate_;
  std::deque<PendingRate> rates_;
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

Figures Simulate(const Scenario& scenario, Controller& controller, double limit,
                 std::uint64_t seed) {
  return Run(scenario, controller, limit, seed).Go();
}

}  // namespace backfill::throttle_bench
