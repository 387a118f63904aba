#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/time_zone.h"

// When a backfill may send, by the clock on the wall. Whether an instant lies in a window is asked
// of that instant's local time, so a skipped hour shortens a window and a doubled one lengthens it
// (or opens it twice). Pure: no I/O once the zone is found, no memory; the same question has the
// same answer after a restart.
namespace backfill::throttle {

struct ScheduleWindow {
  std::uint8_t days = 0;  // those on which it begins; bit 0 is Monday
  int from = 0;           // minute of the day
  int to = 24 * 60;       // likewise; at or before `from` it is that of the next day
  std::optional<double> records_per_second;
  bool operator==(const ScheduleWindow&) const = default;
};

// Half-open.
struct Blackout {
  WallTime from, to;
  std::string reason;
  bool operator==(const Blackout&) const = default;
};

struct ScheduleOptions {
  std::vector<ScheduleWindow> windows;  // none: always
  std::optional<double> outside;        // records/s outside of them; nullopt: it is paused
  std::vector<Blackout> blackouts;      // paused, whatever the windows say
  bool operator==(const ScheduleOptions&) const = default;
};

enum class ScheduleState {
  kOpen,
  kOutside,    // paused, or with the rate for outside
  kBlackout,   // paused
  kReopening,  // up to a minute after a pause, so that many Backfills do not begin at once
};

struct ScheduleAnswer {
  ScheduleState state = ScheduleState::kOpen;
  bool paused = false;
  std::optional<double> limit;  // records/s; nullopt: none from here
  std::string reason;           // why not all is open, in words; empty: all is
  // The next boundary, if it is paused from there on: the governor lowers the rate before.
  std::optional<WallTime> closes_at;
  std::optional<WallTime> next_change;  // when windows, blackouts or the delay say something else
};

class Schedule {
 public:
  // `uid` decides when within a minute it begins again.
  Schedule(ScheduleOptions options, const TimeZone& zone, std::string_view uid);

  [[nodiscard]] ScheduleAnswer At(WallTime now) const;
  [[nodiscard]] Duration ReopeningDelay() const { return delay_; }

 private:
  // What windows and blackouts say, without ramp and delay.
  struct Rule {
    const Blackout* blackout = nullptr;
    bool inside = true;
    bool paused = false;
    std::optional<double> limit;
    bool operator==(const Rule&) const = default;
  };
  [[nodiscard]] Rule RuleAt(WallTime t) const;
  // Where the rule may change, in (after, until], in order.
  [[nodiscard]] std::vector<WallTime> Boundaries(WallTime after, WallTime until) const;
  [[nodiscard]] std::optional<WallTime> NextChange(const Rule& now_says, WallTime now) const;
  // Until when it waits, if it has been opened a moment ago.
  [[nodiscard]] std::optional<WallTime> OpensAt(WallTime now) const;

  ScheduleOptions options_;
  TimeZone zone_;
  Duration delay_;
};

}  // namespace backfill::throttle
