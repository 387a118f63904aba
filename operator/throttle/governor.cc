#include "operator/throttle/governor.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "operator/throttle/critical_hold.h"
#include "operator/throttle/governor_report.h"
#include "operator/throttle/missing_metric.h"
#include "operator/throttle/steering.h"
#include "operator/throttle/tick.h"

namespace backfill::throttle {
namespace {

// Times beyond are nonsense; differences of those within do not overflow.
constexpr Duration kFarthest = Duration(Duration::rep{1} << 61);
constexpr double kResumeShare = 0.25;    // of the rate before a pause
constexpr double kGoodAfterPause = 0.5;  // of it: up to there it goes quickly
// Ticks before a boundary of the schedule in which the rate goes down to 0.
constexpr int kClosingTicks = 3;
constexpr Duration kOldestSaved = std::chrono::hours(24);  // of what was saved

void CheckOrDie(const GovernorOptions& options) {
  const std::string problem = options.Validate();
  if (problem.empty()) return;
  std::fprintf(stderr, "a governor with invalid options: %s\n", problem.c_str());
  std::abort();
}

// There is something to steer by.
bool Governed(const GovernorOptions& options) {
  return std::any_of(options.budgets.begin(), options.budgets.end(),
                     [](const Budget& budget) { return budget.enforce; });
}

// After a pause the target may be another one.
void Resume(GovernorMemory& memory, double floor) {
  if (memory.hold_began || memory.yielding) return;  // they end by themselves, at such a rate
  memory.good = kGoodAfterPause * memory.rate;
  memory.rate = std::max(floor, kResumeShare * memory.rate);
}

// What may be granted while the grants of an earlier leader may be in force: what there will be
// when they are known, so that nothing has to be taken back then.
double MostWhileLearning(const GovernorMemory& memory, double floor) {
  return std::max({floor, kResumeShare * memory.rate, memory.reported.value_or(0)});
}

// All that workers still had is known by now.
void EndLearning(GovernorMemory& memory, double floor) {
  if (*memory.reported < kResumeShare * memory.rate) {
    Resume(memory, floor);  // most of it had expired: the target may be another one
  } else if (!memory.hold_began && !memory.yielding) {
    memory.rate = std::clamp(*memory.reported, std::min(floor, memory.rate), memory.rate);
  }
  memory.reported.reset();
}

double ClosingShareOf(const Tick& tick) {
  return ClosingShare(tick.inputs.closes_in, tick.options.tick);
}

void FollowOverrides(Tick& tick) {
  GovernorMemory& memory = tick.memory;
  const bool pinned = tick.inputs.pin.has_value();
  const bool capped = tick.inputs.cap.has_value();
  if (pinned && !memory.pinned) tick.Tell(TransitionKind::kRateOverridden, "pinned");
  if (capped && !memory.capped) tick.Tell(TransitionKind::kRateOverridden, "capped");
  if (!pinned && memory.pinned && !memory.hold_began && !memory.yielding)
    memory.rate = std::max(tick.floor, std::min(memory.rate, tick.sent));
  memory.pinned = pinned;
  memory.capped = capped;
}

// Steps 2 to 9. After it R stands in the memory.
void Govern(Tick& tick, bool pinned) {
  WatchForMissing(tick);
  const bool degraded = Degraded(tick);
  // Who breaks the glass has taken over; no hold is counted against the target.
  if (!(tick.inputs.pin && tick.inputs.pin->break_glass)) WatchForCritical(tick);
  AgeCeiling(tick);
  if (!GoOnHolding(tick)) {
    if (pinned) {
      // Budgets are watched, not obeyed.
      if (degraded) Land(tick);
    } else if (!Yield(tick)) {
      Steer(tick, degraded);
      if (degraded) Land(tick);
    }
  }
  RememberPressures(tick);
}

double RateToGrant(const Tick& tick) {
  const GovernorMemory& memory = tick.memory;
  const std::optional<Pin>& pin = tick.inputs.pin;
  const bool obeys = !(pin && pin->break_glass);
  double rate = memory.rate;
  if (tick.options.mode == Mode::kObserve) {
    rate = tick.limit;
  } else if (obeys && (memory.hold_began || memory.yielding) && tick.probing) {
    rate = std::min(ProbeRate(tick.options), tick.limit);
  }
  const bool held =
      obeys && tick.options.mode == Mode::kEnforce && (memory.hold_began || tick.metric_hold);
  if (pin && !held) {
    // The schedule's rate is below it, people's caps are not.
    const double cap =
        tick.inputs.cap ? Rate(*tick.inputs.cap) : tick.options.max_records_per_second;
    rate = std::min({Rate(pin->records_per_second), cap, tick.options.max_records_per_second});
  }
  return rate * ClosingShareOf(tick);
}

}  // namespace

double ClosingShare(std::optional<Duration> closes_in, Duration tick) {
  if (!closes_in) return 1;
  for (int ticks = 1; ticks <= kClosingTicks; ++ticks) {
    if (*closes_in <= ticks * tick) return static_cast<double>(ticks - 1) / kClosingTicks;
  }
  return 1;
}

Governor::Governor(GovernorOptions options) : options_(std::move(options)) {
  CheckOrDie(options_);
  memory_.rate = InitialRate(options_);
  memory_.budgets.resize(options_.budgets.size());
}

Governor::Governor(GovernorOptions options, GovernorMemory memory)
    : options_(std::move(options)), memory_(std::move(memory)) {
  CheckOrDie(options_);
  memory_.budgets.resize(options_.budgets.size());
}

Governor Governor::Restore(GovernorOptions options, const SavedGovernor& saved, Time now,
                           WallTime wall) {
  Governor governor(std::move(options));
  GovernorMemory& memory = governor.memory_;
  const auto ago = [&](std::optional<WallTime> at) -> std::optional<Time> {
    if (!at) return std::nullopt;
    // In doubles, as what was saved may be any time.
    using Seconds = std::chrono::duration<double>;
    const Seconds age = Seconds(wall.time_since_epoch()) - Seconds(at->time_since_epoch());
    return now - std::chrono::duration_cast<Duration>(
                     std::clamp<Seconds>(age, Seconds::zero(), kOldestSaved));
  };
  memory.rate = std::min(Rate(saved.rate), governor.options_.max_records_per_second);
  if (saved.last_good) memory.good = Rate(*saved.last_good);
  if (saved.ceiling) {
    memory.ceiling = std::max(1.0, Rate(*saved.ceiling));
    memory.ceiling_changed = now;
  }
  memory.holds = std::clamp(saved.holds, 0, 1000);
  memory.before_hold = Rate(saved.before_hold);
  memory.hold_began = ago(saved.held_since);
  memory.last_critical = ago(saved.last_critical);
  if (memory.hold_began) memory.held_since = memory.last_critical.value_or(*memory.hold_began);
  memory.reported = 0;
  if (!memory.hold_began) memory.rate = std::max(memory.rate, governor.options_.floor);
  return governor;
}

Decision Governor::Step(const Inputs& inputs, Time now) {
  now = std::clamp(now, Time(-kFarthest), Time(kFarthest));
  if (memory_.last_step) now = std::max(now, *memory_.last_step);
  Tick tick = BeginTick(options_, inputs, memory_, now);
  if (inputs.reported && memory_.reported) memory_.reported = Rate(*inputs.reported);

  if (inputs.paused || inputs.blackout) {
    // Nothing moves, so that all is as it was. Before the first record there is nothing to keep.
    memory_.stopped = memory_.started;
    memory_.last_step = now;
    return Report(tick, 0);
  }
  if (memory_.stopped) {
    memory_.stopped = false;
    Resume(memory_, tick.floor);
    ForgetHolds(tick);
    tick.may_raise = false;
    memory_.reported.reset();  // it goes on in the same way after either
  }
  if (memory_.reported) {
    tick.may_raise = false;
    if (!inputs.reported) EndLearning(memory_, tick.floor);
  }
  memory_.started = true;
  memory_.sent.Add(tick.sent, tick.passed, now, tick.dead_time);
  tick.mean_sent = memory_.sent.Mean().value_or(tick.sent);
  FollowOverrides(tick);
  memory_.rate = std::min(memory_.rate, tick.limit);
  if (ClosingShareOf(tick) < 1) tick.may_raise = false;

  if (Governed(options_)) {
    Govern(tick, inputs.pin.has_value());
  } else {
    memory_.rate = inputs.canary ? std::min(InitialRate(options_), tick.limit) : tick.limit;
  }
  memory_.last_step = now;
  double rate = RateToGrant(tick);
  const bool steers = Governed(options_) && options_.mode == Mode::kEnforce && !inputs.pin;
  if (memory_.reported && steers) rate = std::min(rate, MostWhileLearning(memory_, tick.floor));
  return Report(tick, rate);
}

void Governor::Reconfigure(GovernorOptions options) {
  CheckOrDie(options);
  std::vector<BudgetMemory> budgets(options.budgets.size());
  for (std::size_t i = 0; i < options.budgets.size(); ++i) {
    const Budget& now = options.budgets[i];
    for (std::size_t j = 0; j < options_.budgets.size(); ++j) {
      const Budget& before = options_.budgets[j];
      const bool same = before.name == now.name && before.direction == now.direction &&
                        before.bound == now.bound && before.ideal == now.ideal;
      if (same) budgets[i] = std::move(memory_.budgets[j]);
    }
  }
  memory_.budgets = std::move(budgets);
  options_ = std::move(options);
}

SavedGovernor Governor::Save(Time now, WallTime wall) const {
  const auto at = [&](std::optional<Time> time) -> std::optional<WallTime> {
    if (!time) return std::nullopt;
    return wall - std::chrono::duration_cast<WallTime::duration>(
                      std::clamp<Duration>(now - *time, Duration::zero(), kOldestSaved));
  };
  return {.rate = memory_.rate,
          .last_good = memory_.good,
          .ceiling = memory_.ceiling,
          .holds = memory_.holds,
          .before_hold = memory_.before_hold,
          .held_since = at(memory_.hold_began),
          .last_critical = at(memory_.last_critical)};
}

std::string Preflight(const GovernorOptions& options, const std::vector<Observation>& observations,
                      Time now) {
  for (std::size_t i = 0; i < options.budgets.size(); ++i) {
    const Budget& budget = options.budgets[i];
    if (!budget.required || !budget.enforce) continue;
    BudgetMemory memory;
    const BudgetReading reading =
        Read(budget, i < observations.size() ? observations[i] : Observation{}, memory, now);
    if (reading.state == MetricState::kFresh) continue;
    if (reading.no_traffic && budget.on_no_traffic == OnNoTraffic::kProbe) continue;
    std::string problem = budget.name + ": ";
    problem += ToString(reading.state);
    if (!reading.detail.empty()) problem += ": " + reading.detail;
    return problem;
  }
  return "";
}

}  // namespace backfill::throttle
