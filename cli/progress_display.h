#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/environment.h"
#include "operator/api/backfill.h"

namespace backfill::cli {

enum class DisplayMode {
  kLive,     // lines drawn again in place, for a terminal
  kLines,    // a line now and then and whenever something changes, for a log
  kChanges,  // a line only when something changes
};

// Shows how a backfill goes, on err. For one thread.
class ProgressDisplay {
 public:
  static constexpr Duration kRedrawPeriod = std::chrono::milliseconds(250);
  static constexpr Duration kLinePeriod = std::chrono::seconds(10);

  ProgressDisplay(Streams& streams, const Clock& clock, DisplayMode mode)
      : streams_(streams), clock_(clock), mode_(mode) {}

  // Call whenever something may have changed, and at least every kRedrawPeriod; decides itself
  // whether to print. `notes` are printable.
  void Show(const api::Backfill& backfill, const std::vector<std::string>& notes);

  // Says something once, above what is drawn.
  void Say(const std::string& line);

  // Takes away what is drawn, so that other output can follow.
  void Clear();

 private:
  Streams& streams_;
  const Clock& clock_;
  const DisplayMode mode_;
  std::size_t drawn_lines_ = 0;
  std::optional<Time> shown_;
  std::string shown_state_;
};

}  // namespace backfill::cli
