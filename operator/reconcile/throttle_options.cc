#include "operator/reconcile/throttle_options.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>
#include <vector>

#include "operator/api/budget_presets.h"
#include "operator/api/codec.h"
#include "operator/api/decode.h"
#include "operator/api/promql_range.h"
#include "operator/reconcile/throttle_view.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;

// Further ahead a Pin is not in force yet: nobody remembers it by then.
constexpr auto kLongestPin = std::chrono::hours(24);
// So long the glass may be broken, and so much clocks may differ.
constexpr auto kLongestGlass = std::chrono::hours(1) + std::chrono::minutes(1);

// Both of checked texts; what is none would be a fault of the schema.
std::optional<double> DecimalOf(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return value;
}
std::optional<Duration> DurationOf(const std::string& text) {
  const auto duration = api::ParseDuration(text);
  return duration ? std::optional<Duration>(*duration) : std::nullopt;
}

throttle::OnMissing ToGovernor(api::OnMissing on_missing) {
  switch (on_missing) {
    case api::OnMissing::kHold:
      return throttle::OnMissing::kHold;
    case api::OnMissing::kFloor:
      return throttle::OnMissing::kFloor;
    case api::OnMissing::kFreeze:
      return throttle::OnMissing::kFreeze;
    case api::OnMissing::kIgnore:
      return throttle::OnMissing::kIgnore;
  }
  return throttle::OnMissing::kHold;
}

throttle::OnNoTraffic ToGovernor(api::OnNoTraffic on_no_traffic) {
  switch (on_no_traffic) {
    case api::OnNoTraffic::kMissing:
      return throttle::OnNoTraffic::kMissing;
    case api::OnNoTraffic::kZero:
      return throttle::OnNoTraffic::kZero;
    case api::OnNoTraffic::kProbe:
      return throttle::OnNoTraffic::kProbe;
  }
  return throttle::OnNoTraffic::kMissing;
}

throttle::Budget BudgetOf(const api::Budget& given) {
  const api::Budget spec = api::Filled(given);
  throttle::Budget budget;
  budget.name = spec.name;
  budget.direction = spec.max.empty() ? throttle::Direction::kMin : throttle::Direction::kMax;
  budget.bound = DecimalOf(spec.max.empty() ? spec.min : spec.max).value_or(0);
  budget.critical = DecimalOf(spec.critical);
  budget.ideal = DecimalOf(spec.ideal);
  budget.target = DecimalOf(spec.target).value_or(budget.target);
  budget.scope = spec.scope == api::BudgetScope::kPartition ? throttle::Scope::kPartition
                                                            : throttle::Scope::kGlobal;
  budget.required = spec.required;
  budget.enforce = spec.enforce;
  budget.timing.interval = DurationOf(spec.timing.interval).value_or(budget.timing.interval);
  budget.timing.window = BudgetWindow(spec);
  budget.timing.scrape_interval =
      DurationOf(spec.timing.scrape_interval).value_or(budget.timing.scrape_interval);
  budget.timing.delay = DurationOf(spec.timing.delay).value_or(budget.timing.delay);
  budget.timing.stale_after = DurationOf(spec.timing.stale_after);
  budget.on_missing = ToGovernor(spec.on_missing);
  budget.on_no_traffic = ToGovernor(*spec.on_no_traffic);
  // What workers measure is there only once they send: waited for, it would never come.
  if (spec.workers && budget.on_no_traffic == throttle::OnNoTraffic::kMissing)
    budget.on_no_traffic = throttle::OnNoTraffic::kProbe;
  return budget;
}

int DayOf(const std::string& name) {
  static constexpr std::string_view kDays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  return static_cast<int>(std::ranges::find(kDays, name) - std::begin(kDays));
}

// "22:00", "24:00"
int MinuteOf(const std::string& text) {
  int hours = 0, minutes = 0;
  std::from_chars(text.data(), text.data() + std::min<std::size_t>(2, text.size()), hours);
  if (text.size() == 5) std::from_chars(text.data() + 3, text.data() + 5, minutes);
  return hours * 60 + minutes;
}

std::optional<double> RateOf(const std::optional<std::int64_t>& records_per_second) {
  return records_per_second ? std::optional(static_cast<double>(*records_per_second))
                            : std::nullopt;
}

void Lower(std::optional<double>& rate, double to) { rate = std::min(rate.value_or(to), to); }

void Complain(HandRate& hand, const std::string& what) {
  hand.trouble += (hand.trouble.empty() ? "" : "; ") + what;
}

// Why the glass is not to be broken; empty: it may. One that was written for later is refused for
// good: by then nobody would expect it.
std::string WhyGlassHolds(const api::Override& override, WallTime until, WallTime now,
                          const GlassRules& rules) {
  if (!rules.asked)
    return "breakGlass is refused: this operator was installed without the policy that asks who "
           "may";
  if (until - now > kLongestGlass) return "breakGlass is refused: until is more than 1 h ahead";
  if (override.until == rules.refused_until)
    return "breakGlass is refused: until was more than 1 h ahead when it was written; write "
           "another one";
  return "";
}

void Apply(const api::Override& override, WallTime now, const GlassRules& rules, HandRate& hand) {
  const auto until = ParseWallTime(override.until);
  if (!until || *until <= now) return;
  const bool cap = override.type == api::OverrideType::kCap;
  const bool glass = override.break_glass && !cap;
  const std::string shown =
      std::string(cap ? "Cap " : "Pin ") + std::to_string(override.records_per_second) + "/s" +
      (glass ? " past critical" : "") + " until " + override.until + ": " + override.reason;
  if (glass) {
    if (const std::string why = WhyGlassHolds(override, *until, now, rules); !why.empty()) {
      hand.glass_refused_until = override.until;
      return Complain(hand, why + ": " + shown);
    }
  }
  if (!cap && *until - now > kLongestPin)
    return Complain(hand, "a Pin acts in the 24 hours before its end only: " + shown);
  const auto rate = static_cast<double>(override.records_per_second);
  if (cap) {
    Lower(hand.cap, rate);
  } else if (!hand.pin || rate < hand.pin->records_per_second) {
    hand.pin = throttle::Pin{.records_per_second = rate, .break_glass = glass};
    hand.glass_broken_until = glass ? override.until : "";
  }
  hand.reason += (hand.reason.empty() ? "" : "; ") + shown;
}

}  // namespace

Duration BudgetWindow(const api::Budget& budget) {
  const Duration otherwise = throttle::Timing{}.window;
  if (const auto given = DurationOf(budget.timing.window)) return *given;
  if (budget.workers) return DurationOf(budget.workers->window).value_or(otherwise);
  if (budget.prometheus) {
    if (const auto range = api::LongestRange(budget.prometheus->query)) return *range;
  }
  return otherwise;
}

Result<throttle::GovernorOptions> GovernorOptionsOf(const api::Throttle& spec) {
  throttle::GovernorOptions options;
  options.mode = spec.mode == api::ThrottleMode::kObserve ? throttle::Mode::kObserve
                                                          : throttle::Mode::kEnforce;
  options.max_records_per_second = RateOf(spec.max_records_per_second).value_or(0);
  options.floor = static_cast<double>(spec.min_records_per_second);
  options.initial = RateOf(spec.initial_records_per_second);
  options.at_floor =
      spec.at_floor == api::AtFloor::kKeep ? throttle::AtFloor::kKeep : throttle::AtFloor::kYield;
  options.dead_time = DurationOf(spec.dead_time);
  for (const api::Budget& budget : spec.budgets) options.budgets.push_back(BudgetOf(budget));
  throttle::HoldOptions& hold = options.hold;
  hold.on_critical = spec.hold.on_critical == api::OnCritical::kPause ? throttle::OnCritical::kPause
                                                                      : throttle::OnCritical::kHold;
  hold.confirmations = spec.hold.confirmations;
  hold.duration = DurationOf(spec.hold.duration).value_or(hold.duration);
  hold.max_duration = DurationOf(spec.hold.max_duration).value_or(hold.max_duration);
  hold.good_samples = spec.hold.good_samples;
  hold.resume_factor = DecimalOf(spec.hold.resume_factor).value_or(hold.resume_factor);
  hold.pause_after = spec.hold.pause_after;
  options.missing.land_every =
      DurationOf(spec.missing.land_every).value_or(options.missing.land_every);
  options.missing.after = DurationOf(spec.missing.after).value_or(options.missing.after);
  options.grant_refresh = GrantTimesOf(spec.grants).refresh;
  if (const std::string problem = options.Validate(); !problem.empty())
    return Error{ErrorCode::kInvalid, "spec.throttle: " + problem};
  return options;
}

double LatencyHeadroomOf(const api::WorkerThrottle& spec) {
  if (!spec.latency_backoff) return 0;
  return DecimalOf(spec.latency_headroom).value_or(ThrottleView{}.latency_headroom);
}

throttle::GrantTimes GrantTimesOf(const api::GrantTimes& spec) {
  throttle::GrantTimes times;
  times.ttl = std::min(DurationOf(spec.ttl).value_or(times.ttl), throttle::kMostGrantTtl);
  times.refresh = DurationOf(spec.refresh).value_or(times.refresh);
  return times;
}

Result<throttle::Schedule> ScheduleOf(const api::Schedule& spec, const std::string& uid) {
  const TimeZone zone = TRY(TimeZone::Find(spec.time_zone).Annotate("spec.schedule.timeZone"));
  throttle::ScheduleOptions options;
  for (const api::Window& window : spec.windows) {
    throttle::ScheduleWindow& out = options.windows.emplace_back();
    for (const std::string& day : window.days)
      out.days = static_cast<std::uint8_t>(out.days | 1U << DayOf(day));
    out.from = MinuteOf(window.from);
    out.to = MinuteOf(window.to);
    out.records_per_second = RateOf(window.max_records_per_second);
  }
  if (spec.outside) options.outside = RateOf(spec.outside->max_records_per_second);
  for (const api::Blackout& blackout : spec.blackouts) {
    const auto from = ParseWallTime(blackout.from), to = ParseWallTime(blackout.to);
    if (!from || !to)
      return Error{ErrorCode::kInvalid, "spec.schedule.blackouts: a time that there is not"};
    options.blackouts.push_back({*from, *to, blackout.reason});
  }
  return throttle::Schedule(std::move(options), zone, uid);
}

HandRate HandRateOf(const api::Backfill& backfill, WallTime now, const GlassRules& glass) {
  HandRate hand;
  if (backfill.spec.throttle.override) Apply(*backfill.spec.throttle.override, now, glass, hand);
  const auto annotation = backfill.annotations.find(api::kOverrideAnnotation);
  if (annotation == backfill.annotations.end()) return hand;
  const auto override = api::DecodeOverride(annotation->second);
  if (override.ok()) {
    Apply(*override, now, glass, hand);
  } else {
    Complain(hand, "annotation " + std::string(api::kOverrideAnnotation) + ": " +
                       override.error().message);
  }
  return hand;
}

}  // namespace backfill::reconcile
