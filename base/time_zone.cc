#include "base/time_zone.h"

#include <date/tz.h>

#include <exception>

namespace backfill {
namespace {

using std::chrono::seconds;

// 24 h from Monday; 1970-01-01 was a Thursday.
int WeekdayOf(std::int64_t day) { return static_cast<int>(((day + 3) % 7 + 7) % 7); }

date::sys_seconds ToSeconds(WallTime t) { return std::chrono::floor<seconds>(t); }

}  // namespace

Result<TimeZone> TimeZone::Find(const std::string& name) {
  const Error none{ErrorCode::kInvalid,
                   "there is no time zone " + name + " in this machine's database"};
  // Each machine would mean another one.
  if (name.empty() || name == "localtime") return none;
  try {
    (void)date::get_tzdb();
  } catch (const std::exception& e) {
    return Error{ErrorCode::kUnavailable,
                 "the time zones cannot be read (package tzdata): " + std::string(e.what())};
  }
  try {
    const date::time_zone* zone = date::locate_zone(name);
    (void)zone->get_info(date::sys_seconds{});  // reads its file
    return TimeZone(zone);
  } catch (const std::exception&) {
    return none;
  }
}

LocalTime TimeZone::ToLocal(WallTime t) const {
  const auto local = zone_->to_local(ToSeconds(t));
  const auto day = std::chrono::floor<date::days>(local);
  LocalTime out;
  out.day = day.time_since_epoch().count();
  out.weekday = WeekdayOf(out.day);
  out.second = static_cast<int>((local - day).count());
  return out;
}

std::vector<WallTime> TimeZone::InstantsOf(std::int64_t day, int minute) const {
  const date::local_seconds local{seconds(day * 86400 + minute * std::int64_t{60})};
  const date::local_info info = zone_->get_info(local);
  const auto at = [local](const date::sys_info& sys) {
    return WallTime(seconds(local.time_since_epoch() - sys.offset));
  };
  switch (info.result) {
    case date::local_info::unique:
      return {at(info.first)};
    case date::local_info::ambiguous:
      return {at(info.first), at(info.second)};
    case date::local_info::nonexistent:
    default:  // the library's enum is an int
      return {};
  }
}

WallTime TimeZone::NextTransition(WallTime t) const {
  // The last one is followed by none; what a WallTime can hold ends before the library's years.
  constexpr seconds kFar{std::int64_t{200} * 366 * 86400};
  const auto end = zone_->get_info(ToSeconds(t)).end.time_since_epoch();
  return WallTime(std::min<seconds>(end, kFar));
}

}  // namespace backfill
