#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace date {
class time_zone;
}

namespace backfill {

// What a clock on the wall shows.
struct LocalTime {
  std::int64_t day = 0;  // since 1970-01-01
  int weekday = 0;       // 0 is Monday
  int second = 0;        // of the day
  bool operator==(const LocalTime&) const = default;
};

// A zone of the IANA database as the machine has it (/usr/share/zoneinfo, Debian's tzdata). A
// value; the database is read once for each process and constant from then on, so every thread may
// use it.
class TimeZone {
 public:
  // By its name, such as Europe/Berlin. kInvalid: there is none; kUnavailable: there is no
  // database.
  static Result<TimeZone> Find(const std::string& name);

  [[nodiscard]] LocalTime ToLocal(WallTime t) const;
  // When a clock shows that time of day (24:00 is the next day's 00:00): twice where clocks are set
  // back, never where it is skipped.
  [[nodiscard]] std::vector<WallTime> InstantsOf(std::int64_t day, int minute) const;
  // When clocks are set next, after `t`.
  [[nodiscard]] WallTime NextTransition(WallTime t) const;

 private:
  explicit TimeZone(const date::time_zone* zone) : zone_(zone) {}
  const date::time_zone* zone_;  // of the database
};

}  // namespace backfill
