#include "operator/reconcile/throttling.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

#include "operator/observe/preflight.h"
#include "operator/reconcile/budget_query.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxChanges = 100;
constexpr Duration kRampAhead = 30s;  // the three ticks before a boundary

std::string TextOf(const std::optional<WallTime>& t) { return t ? FormatWallTime(*t) : ""; }

std::optional<WallTime> TimeOf(const std::string& text) {
  return text.empty() ? std::nullopt : ParseWallTime(text);
}

throttle::SavedGovernor SavedOf(const api::ThrottleStatus& status) {
  throttle::SavedGovernor saved;
  saved.rate = status.rate.value_or(0);
  saved.last_good = status.last_good_rate;
  saved.ceiling = status.ceiling;
  saved.holds = status.holds;
  saved.before_hold = status.rate_before_hold.value_or(0);
  saved.held_since = TimeOf(status.held_since);
  saved.last_critical = TimeOf(status.last_critical_time);
  return saved;
}

// What one that leaves a group takes along: its share, not what all of them had.
throttle::SavedGovernor ShareOf(const GroupAnswer& group) {
  throttle::SavedGovernor share = group.saved;
  const auto members = static_cast<double>(group.others + 1);
  share.rate = std::min(share.rate, group.decision.rate);
  if (share.last_good) share.last_good = *share.last_good / members;
  share.before_hold /= members;
  return share;
}

// Those that cannot be read first, then by pressure.
std::vector<api::BudgetStatus> ShownBudgets(const std::vector<throttle::Budget>& budgets,
                                            const std::vector<throttle::BudgetView>& views) {
  std::vector<std::size_t> order(std::min(budgets.size(), views.size()));
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto rank = [&views](std::size_t i) {
    const bool usable = views[i].state == throttle::MetricState::kFresh ||
                        views[i].state == throttle::MetricState::kLate;
    return std::tuple(usable, -views[i].pressure.value_or(0), i);
  };
  std::ranges::sort(order, {}, rank);
  if (order.size() > api::kMaxShownBudgets) order.resize(api::kMaxShownBudgets);
  std::vector<api::BudgetStatus> shown;
  for (const std::size_t i : order) {
    const throttle::BudgetView& view = views[i];
    api::BudgetStatus& out = shown.emplace_back();
    out.name = budgets[i].name;
    out.value = view.value;
    out.pressure = view.pressure;
    out.state = throttle::ToString(view.state);
    if (view.age) out.age = std::chrono::duration_cast<std::chrono::seconds>(*view.age).count();
  }
  return shown;
}

}  // namespace

Status Throttling::Configure(const Seen& seen, Time now, WallTime wall) {
  const api::Backfill& backfill = seen.backfill;
  if (spec_ != backfill.spec.throttle) {
    own_ = TRY(GovernorOptionsOf(backfill.spec.throttle));
    const bool first = !spec_;
    if (first && backfill.status.throttle)
      glass_refused_until_ = backfill.status.throttle->glass_refused_until;
    spec_ = backfill.spec.throttle;
    decision_.reset();
    const auto& last = backfill.status.throttle;
    if (first && last && last->rate) {
      recalled_ = SavedOf(*last);
      state_ = last->state;
      since_ = TimeOf(last->since).value_or(wall);
    }
    if (InGroup(seen) != !governor_ || first) {
      ChangeSides(seen, now, wall);
    } else if (governor_) {
      governor_->Reconfigure(OfScope(own_, throttle::Scope::kGlobal));
    }
    ConfigurePartitions(seen);
  }
  if (schedule_spec_ != backfill.spec.schedule) {
    schedule_.reset();
    if (backfill.spec.schedule) schedule_ = TRY(ScheduleOf(*backfill.spec.schedule, backfill.uid));
    schedule_spec_ = backfill.spec.schedule;
    decision_.reset();
  }
  return Ok{};
}

void Throttling::ConfigurePartitions(const Seen& seen) {
  if (spec_->partition_by.empty()) {
    partitions_.reset();
  } else if (partitions_ != nullptr) {
    partitions_->Reconfigure(own_);
  } else {
    partitions_ = std::make_unique<PartitionThrottling>(seen.backfill.ns + "/" + seen.backfill.name,
                                                        own_, seen.log);
  }
}

void Throttling::ChangeSides(const Seen& seen, Time now, WallTime wall) {
  if (InGroup(seen)) {
    if (governor_) recalled_ = governor_->governor().Save(now, wall);
    governor_.reset();
    return;
  }
  if (group_) {
    recalled_ = ShareOf(*group_);
    group_.reset();
    if (seen.groups != nullptr) seen.groups->Leave(seen.backfill.uid, now);
  }
  const std::string name = seen.backfill.ns + "/" + seen.backfill.name;
  throttle::GovernorOptions options = OfScope(own_, throttle::Scope::kGlobal);
  if (recalled_) {
    governor_.emplace(name, throttle::Governor::Restore(std::move(options), *recalled_, now, wall),
                      seen.log);
    takes_over_ = true;
    recalled_.reset();
  } else {
    governor_.emplace(name, throttle::Governor(std::move(options)), seen.log);
  }
}

// For as long as it takes (RateShare); before the stage is open nothing is known.
std::optional<double> Throttling::Reported(const Seen& seen) {
  if (!takes_over_) return std::nullopt;
  if (seen.open == nullptr) return 0;
  takes_over_ = seen.open->reported.has_value();
  return seen.open->reported;
}

bool Throttling::Shown() const {
  return !spec_->budgets.empty() || schedule_spec_ || overridden_ || group_ ||
         spec_->mode == api::ThrottleMode::kObserve;
}

void Throttling::Preflight(const Seen& seen, Time now, ThrottleView& view) const {
  std::vector<observe::Query> queries;
  const std::vector<throttle::Budget>& budgets = own_.budgets;
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    queries.push_back(QueryOf(spec_->budgets[i], seen.backfill.uid));
    const bool asked =
        i < seen.observations.size() && seen.observations[i] != throttle::Observation{};
    if (budgets[i].required && budgets[i].enforce && !asked) view.asks_first = true;
  }
  const auto problem = observe::Preflight(own_, seen.observations, queries, now);
  if (problem) view.waits_for = problem->message;
}

Result<ThrottleView> Throttling::Step(const Seen& seen, Time now, WallTime wall) {
  TRY(Configure(seen, now, wall));
  const throttle::ScheduleAnswer clock =
      schedule_ ? schedule_->At(wall) : throttle::ScheduleAnswer{};
  const HandRate hand = HandRateOf(
      seen.backfill, wall, {.asked = seen.asked_for_glass, .refused_until = glass_refused_until_});
  glass_broken_until_ = hand.glass_broken_until;
  glass_refused_until_ = hand.glass_refused_until;
  overridden_ = overridden_ || !hand.reason.empty() || !hand.trouble.empty();
  const Asked asked{.paused = seen.paused,
                    .blackout = clock.paused,
                    .window_limit = clock.limit,
                    .cap = hand.cap,
                    .pin = hand.pin,
                    .reported = Reported(seen)};
  ThrottleView view;
  view.latency_headroom = LatencyHeadroomOf(spec_->worker);
  view.grants = GrantTimesOf(spec_->grants);
  // A stage may be open by then: of a run that was paused, or whose operator was another.
  const bool sent = seen.begun || (seen.open != nullptr && (seen.open->attempts_per_second > 0 ||
                                                            seen.open->totals.counts.total() > 0));
  if (!sent && !asked.paused) Preflight(seen, now, view);
  // Before it begins nothing is throttled: neither does the rate fall, nor is anything told.
  if (!view.waits_for.empty()) {
    if (InGroup(seen)) seen.groups->Leave(seen.backfill.uid, now);
    view.limited_by = throttle::ToString(throttle::LimitedBy::kMissingMetric);
    return view;
  }
  std::optional<Duration> closes_in;
  if (clock.closes_at && *clock.closes_at - wall <= kRampAhead) closes_in = *clock.closes_at - wall;
  std::string others;
  if (InGroup(seen)) {
    if (!sent && asked.paused) {
      // Others must not wait for metrics that nothing has been asked of yet.
      seen.groups->Leave(seen.backfill.uid, now);
      view.limited_by = throttle::ToString(throttle::LimitedBy::kPause);
      return view;
    }
    TRY(GovernInGroup(seen, asked, closes_in, hand, now, wall));
    others = GroupText();
  } else {
    Govern(seen, asked, closes_in, now, wall);
  }
  const throttle::Decision& decision = *decision_;
  view.rate = decision.rate;
  if (by_partition_) view.partitions = by_partition_->rates;
  view.pressure = decision.pressure;
  view.limited_by = throttle::ToString(decision.limited_by);
  view.throttled = throttle::ToString(decision.throttled);
  view.message = decision.message;
  if (group_ && !view.message.empty()) view.message += " (group " + spec_->group->name + ")";
  view.stalled = throttle::ToString(decision.stalled);
  if (decision.ask_for_pause) view.pause_for = view.stalled.empty() ? "CriticalHold" : view.stalled;
  if (Shown()) {
    std::string reason = decision.message;
    for (const std::string& more : {clock.reason, hand.reason, hand.trouble, others}) {
      if (!more.empty()) reason += (reason.empty() ? "" : "; ") + more;
    }
    NoteChange(reason, wall);
    view.status = StatusOf(decision, reason, now, wall);
    view.status->next_change = TextOf(clock.next_change);
  }
  return view;
}

void Throttling::Govern(const Seen& seen, const Asked& asked, std::optional<Duration> closes_in,
                        Time now, WallTime wall) {
  // While nothing is sent there is nothing to lower.
  const bool alarmed =
      alarm_.Rings(own_.budgets, seen.observations) && decision_ && decision_->rate > 0;
  if (decision_ && asked == asked_ && !alarmed && now < decision_->next) return;
  throttle::Inputs in;
  in.observations = seen.observations;
  if (seen.open != nullptr) {
    in.sent = seen.open->attempts_per_second;
    in.records_wait = seen.open->records_wait;
    in.inner_cut = seen.open->target_holds_back;
  }
  in.paused = asked.paused;
  in.blackout = asked.blackout;
  in.closes_in = closes_in;
  in.window_limit = asked.window_limit;
  in.cap = asked.cap;
  in.pin = asked.pin;
  in.reported = asked.reported;
  decision_ = Decide(std::move(in), seen, now, wall);
  asked_ = asked;
  NoteState(seen, wall);
}

throttle::Decision Throttling::Decide(throttle::Inputs in, const Seen& seen, Time now,
                                      WallTime wall) {
  if (partitions_ == nullptr) {
    by_partition_.reset();
    return governor_->Step(in, now, wall);
  }
  by_partition_ = partitions_->Step(in, seen.partitions, seen.open, now, wall);
  in.observations = ObservationsOf(own_, throttle::Scope::kGlobal, in.observations);
  // What waits for a partition does not wait for more in all.
  in.inner_cut = in.inner_cut || by_partition_->total < governor_->governor().memory().rate;
  return Combined(own_, governor_->Step(in, now, wall), *by_partition_);
}

// A decision has been made.
void Throttling::NoteState(const Seen& seen, WallTime wall) {
  if (seen.watcher != nullptr) {
    seen.watcher->Decided(seen.backfill, Options(), *decision_);
    seen.watcher->DecidedByPartition(seen.backfill,
                                     by_partition_ ? by_partition_->rates : PartitionRates{});
  }
  const std::string state(throttle::ToString(decision_->state));
  if (state != state_) since_ = wall;
  state_ = state;
}

void Throttling::NoteChange(const std::string& reason, WallTime wall) {
  const std::string limited_by(throttle::ToString(decision_->limited_by));
  std::string now = state_ + " " + limited_by + " " + glass_broken_until_;
  if (now == noted_) return;
  noted_ = std::move(now);
  const auto& budgets = Options().budgets;
  const bool binds = decision_->binding && *decision_->binding < budgets.size();
  changes_.push_back({.time = FormatWallTime(wall),
                      .state = state_,
                      .limited_by = limited_by,
                      .budget = binds ? budgets[*decision_->binding].name : "",
                      .reason = reason,
                      .rate = decision_->rate});
  // Nobody takes them while there is no report, or it cannot be written.
  if (changes_.size() > kMaxChanges) changes_.erase(changes_.begin());
}

api::ThrottleStatus Throttling::StatusOf(const throttle::Decision& decision,
                                         const std::string& reason, Time now, WallTime wall) const {
  api::ThrottleStatus out;
  out.state = state_;
  out.since = FormatWallTime(since_);
  out.reason = reason;
  const auto& budgets = Options().budgets;
  if (decision.binding && *decision.binding < budgets.size()) {
    out.binding_budget = budgets[*decision.binding].name;
    out.pressure = decision.pressure;
  }
  out.budgets = ShownBudgets(budgets, decision.budgets);
  const throttle::SavedGovernor saved = Saved(now, wall);
  out.rate = saved.rate;
  out.last_good_rate = saved.last_good;
  out.ceiling = saved.ceiling;
  out.holds = saved.holds;
  if (saved.before_hold > 0) out.rate_before_hold = saved.before_hold;
  out.held_since = TextOf(saved.held_since);
  out.last_critical_time = TextOf(saved.last_critical);
  out.glass_broken_until = glass_broken_until_;
  out.glass_refused_until = glass_refused_until_;
  if (by_partition_ && by_partition_->decision) {
    out.slowest_partition = {.name = by_partition_->slowest,
                             .rate = by_partition_->decision->rate,
                             .hot = by_partition_->hot};
  }
  return out;
}

}  // namespace backfill::reconcile
