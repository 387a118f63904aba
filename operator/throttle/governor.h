#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/throttle/budget_watch.h"
#include "operator/throttle/decision.h"
#include "operator/throttle/governor_options.h"
#include "operator/throttle/history.h"
#include "operator/throttle/observation.h"

// How many records a second may be sent, so that a target stays within its budgets and the rest of
// them is used. Method, reasons, weak spots: README.md beside this file.
namespace backfill::throttle {

// People set the rate, up to the maximum. Critical and a metric missing for too long still hold it,
// but for `break_glass`.
struct Pin {
  double records_per_second = 0;
  bool break_glass = false;

  bool operator==(const Pin&) const = default;
};

// All that a decision depends on, besides the options, what was before, and the time. Any number is
// allowed: what makes no sense is taken as 0, or as none.
struct Inputs {
  std::vector<Observation> observations =
      {};                     // in the order of the budgets; missing ones are errors
  double sent = 0;            // attempts/s of all workers since the last tick
  bool records_wait = false;  // for tokens: the workers would send more
  bool inner_cut = false;     // some worker sends less than granted because of what it sees itself
  bool canary = false;        // the rate may fall, but not rise

  bool paused = false;
  bool blackout = false;  // outside of the schedule, or within a blackout
  // Until a boundary of the schedule at which the rate has to be 0, where one is near.
  std::optional<Duration> closes_in = std::nullopt;
  std::optional<double> window_limit = std::nullopt;  // records/s of the window of the schedule
  std::optional<double> cap = std::nullopt;           // of an override that is in force
  std::optional<Pin> pin = std::nullopt;              // likewise
  // Grants of an earlier leader may be in force: what workers say so far that they have, all
  // together. Until it is no longer set the rate does not rise, and no more is granted than that
  // or, if that is more, than after a pause.
  std::optional<double> reported = std::nullopt;

  bool operator==(const Inputs&) const = default;
};

// What outlives the process, in status.throttle.
struct SavedGovernor {
  double rate = 0;                                 // R
  std::optional<double> last_good = std::nullopt;  // G
  std::optional<double> ceiling = std::nullopt;    // C
  int holds = 0;                                   // n
  double before_hold = 0;                          // the rate
  std::optional<WallTime> held_since = std::nullopt;
  std::optional<WallTime> last_critical = std::nullopt;

  bool operator==(const SavedGovernor&) const = default;
};

// Everything that a governor remembers: what a replay starts from. Times are never after
// `last_step` but for the ends of waits.
struct GovernorMemory {
  double rate = 0;                               // R
  std::optional<double> good = std::nullopt;     // G
  std::optional<double> ceiling = std::nullopt;  // C
  std::optional<Time> ceiling_changed = std::nullopt;
  int holds = 0;  // n
  double before_hold = 0;
  std::optional<Time> hold_began = std::nullopt;
  std::optional<Time> held_since =
      std::nullopt;  // from here its duration counts: the last tick at critical
  std::optional<Time> last_critical = std::nullopt;
  std::optional<Time> last_cut = std::nullopt;
  double cut_pressure = 0;  // Pcut
  double pressure = 0;      // P, as last known
  std::optional<Time> last_raise = std::nullopt;
  std::optional<Time> last_lowered = std::nullopt;         // by a budget, cut or not
  std::optional<Time> overloaded_at_floor = std::nullopt;  // since when
  std::optional<Time> yielding = std::nullopt;
  std::optional<Time> missing = std::nullopt;  // t0
  double before_missing = 0;
  std::optional<Time> last_landing = std::nullopt;
  std::optional<Time> no_raise_until = std::nullopt;  // windows are under-filled after a gap
  bool started = false;                               // has ever granted a rate
  bool stopped = false;                               // paused or blackout, as of the last step
  bool pinned = false;
  bool capped = false;
  bool throttled = false;     // the condition, as of the last step
  std::string exceeded = {};  // what the last cut or hold was about
  bool told_missing = false;
  std::optional<double> reported = std::nullopt;  // as last heard; set: not acted upon yet
  std::optional<Time> last_step = std::nullopt;
  History sent = {};
  std::vector<BudgetMemory> budgets = {};

  bool operator==(const GovernorMemory&) const = default;
};

// Decides by its options, its memory and its inputs alone: the same calls give the same decisions,
// bit for bit. Not thread-safe; no I/O, no clock. Ends the process if the options are invalid.
class Governor {
 public:
  // Starts at the initial rate.
  explicit Governor(GovernorOptions options);
  // Goes on from there; for replays.
  Governor(GovernorOptions options, GovernorMemory memory);
  // The next leader goes on from what the last one saved. What workers still have is not known
  // yet: Inputs::reported says so. If it is not set with the next step, all grants have expired,
  // which is a resume after a pause.
  static Governor Restore(GovernorOptions options, const SavedGovernor& saved, Time now,
                          WallTime wall);

  // To be called at each tick, and at once when people or the schedule change something; between
  // two ticks a rate rises by the time that has passed. A `now` before that of the last call is
  // taken as that one.
  Decision Step(const Inputs& inputs, Time now);

  // The spec has changed. What is known of a budget stays with its name.
  void Reconfigure(GovernorOptions options);

  [[nodiscard]] SavedGovernor Save(Time now, WallTime wall) const;
  [[nodiscard]] const GovernorMemory& memory() const { return memory_; }
  [[nodiscard]] const GovernorOptions& options() const { return options_; }

 private:
  GovernorOptions options_;
  GovernorMemory memory_;
};

// What is left of the rate so long before a boundary of the schedule at which it has to be 0: two
// thirds, one third and nothing in the last three ticks.
double ClosingShare(std::optional<Duration> closes_in, Duration tick);

// Before the first record: whether each required budget has been seen well enough to start, that is
// one plausible fresh sample, or no traffic where that is to be probed. Empty: yes; else why not.
std::string Preflight(const GovernorOptions& options, const std::vector<Observation>& observations,
                      Time now);

}  // namespace backfill::throttle
