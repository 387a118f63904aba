#include "operator/throttle/schedule.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

constexpr auto kDay = std::chrono::hours(24);
// A weekly window that a skipped hour swallows comes a week later.
constexpr int kDaysAhead = 15;

// FNV-1a: the same on every machine and in every version.
Duration DelayOf(std::string_view uid) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : uid) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return std::chrono::seconds(hash % 60);
}

bool Has(const ScheduleWindow& window, int weekday) { return (window.days >> weekday & 1) != 0; }

bool Contains(const ScheduleWindow& window, const LocalTime& local) {
  const int from = window.from * 60, to = window.to * 60;
  if (from < to) return Has(window, local.weekday) && local.second >= from && local.second < to;
  const int yesterday = (local.weekday + 6) % 7;
  return (Has(window, local.weekday) && local.second >= from) ||
         (Has(window, yesterday) && local.second < to);
}

std::string Until(const std::optional<WallTime>& t) {
  return t ? " until " + FormatWallTime(*t) : "";
}

}  // namespace

Schedule::Schedule(ScheduleOptions options, const TimeZone& zone, std::string_view uid)
    : options_(std::move(options)), zone_(zone), delay_(DelayOf(uid)) {}

Schedule::Rule Schedule::RuleAt(WallTime t) const {
  Rule rule;
  if (!options_.windows.empty()) {
    const LocalTime local = zone_.ToLocal(t);
    rule.inside = false;
    for (const ScheduleWindow& window : options_.windows) {
      if (!Contains(window, local)) continue;
      rule.inside = true;
      if (!window.records_per_second) continue;
      // Of windows that overlap the more careful one counts.
      rule.limit =
          std::min(rule.limit.value_or(*window.records_per_second), *window.records_per_second);
    }
    if (!rule.inside) {
      rule.paused = !options_.outside;
      rule.limit = options_.outside;
    }
  }
  for (const Blackout& blackout : options_.blackouts) {
    if (t < blackout.from || t >= blackout.to) continue;
    rule.blackout = &blackout;
    rule.paused = true;
  }
  return rule;
}

std::vector<WallTime> Schedule::Boundaries(WallTime after, WallTime until) const {
  std::vector<WallTime> found;
  if (!options_.windows.empty()) {
    // A window may have begun the day before, and ends at most the day after.
    const std::int64_t last = zone_.ToLocal(until).day + 1;
    for (std::int64_t day = zone_.ToLocal(after).day - 2; day <= last; ++day) {
      const int weekday = static_cast<int>(((day + 3) % 7 + 7) % 7);
      for (const ScheduleWindow& window : options_.windows) {
        if (!Has(window, weekday)) continue;
        const std::int64_t ends = window.to <= window.from ? day + 1 : day;
        for (const WallTime t : zone_.InstantsOf(day, window.from)) found.push_back(t);
        for (const WallTime t : zone_.InstantsOf(ends, window.to)) found.push_back(t);
      }
    }
    // Where clocks are set, what they show leaps into a window or out of it.
    for (WallTime t = zone_.NextTransition(after); t <= until; t = zone_.NextTransition(t))
      found.push_back(t);
  }
  for (const Blackout& blackout : options_.blackouts) {
    found.push_back(blackout.from);
    found.push_back(blackout.to);
  }
  std::erase_if(found, [&](WallTime t) { return t <= after || t > until; });
  std::ranges::sort(found);
  return found;
}

std::optional<WallTime> Schedule::NextChange(const Rule& now_says, WallTime now) const {
  // Most change within a day, so the days are looked at one by one.
  for (int day = 0; day < kDaysAhead; ++day) {
    for (const WallTime t : Boundaries(now + day * kDay, now + (day + 1) * kDay))
      if (RuleAt(t) != now_says) return t;
  }
  std::optional<WallTime> first;
  for (const Blackout& blackout : options_.blackouts) {
    for (const WallTime t : {blackout.from, blackout.to})
      if (t > now && RuleAt(t) != now_says) first = std::min(first.value_or(t), t);
  }
  return first;
}

std::optional<WallTime> Schedule::OpensAt(WallTime now) const {
  const auto wait = std::chrono::duration_cast<WallTime::duration>(delay_);
  std::optional<WallTime> opens;
  for (const WallTime t : Boundaries(now - wait, now)) {
    if (RuleAt(t - 1s).paused && !RuleAt(t).paused) opens = t + wait;
  }
  return opens && *opens > now ? opens : std::nullopt;
}

ScheduleAnswer Schedule::At(WallTime now) const {
  ScheduleAnswer answer;
  if (options_.windows.empty() && options_.blackouts.empty()) return answer;
  const Rule rule = RuleAt(now);
  answer.limit = rule.limit;
  answer.paused = rule.paused;
  answer.next_change = NextChange(rule, now);
  const std::string until = Until(answer.next_change);
  if (rule.blackout != nullptr) {
    answer.state = ScheduleState::kBlackout;
    answer.reason =
        "blackout" + until + (rule.blackout->reason.empty() ? "" : ": " + rule.blackout->reason);
  } else if (!rule.inside) {
    answer.state = ScheduleState::kOutside;
    answer.reason = "outside of the windows of the schedule" + until;
  } else if (rule.limit) {
    answer.reason = "a window of the schedule" + until;
  }
  if (rule.paused) return answer;
  if (const auto opens = OpensAt(now)) {
    answer.state = ScheduleState::kReopening;
    answer.paused = true;
    answer.next_change = opens;
    answer.reason = "the schedule allows it again; it begins at " + FormatWallTime(*opens) +
                    ", so that not all begin at once";
    return answer;
  }
  if (answer.next_change && RuleAt(*answer.next_change).paused)
    answer.closes_at = answer.next_change;
  return answer;
}

}  // namespace backfill::throttle
