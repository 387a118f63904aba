#include "cli/progress_display.h"

#include <fmt/format.h>

#include <ostream>

#include "cli/ending.h"
#include "cli/live_view.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

// What is worth a line of its own as soon as it differs. Not the notices' texts: they may carry a
// value that moves. A target that is out of reach is told of only once that lasts, so this one does
// not flicker.
std::string StateOf(const api::Backfill& backfill, const std::vector<std::string>& notes) {
  const api::Status& status = backfill.status;
  std::string state(status.phase ? api::ToString(*status.phase) : "");
  for (const char* type : {"Stalled", "Ready", "Paused"}) {
    const api::Condition* c = FindCondition(status, type);
    state += fmt::format("|{}", c == nullptr ? "" : c->reason);
  }
  const bool unreachable = status.rate && status.rate->limited_by == "TargetUnreachable";
  return fmt::format("{}|{}|{}|{}", state, unreachable, PausedBy(backfill), fmt::join(notes, "|"));
}

}  // namespace

void ProgressDisplay::Show(const api::Backfill& backfill, const std::vector<std::string>& notes) {
  const Time now = clock_.Steady();
  std::string state = StateOf(backfill, notes);
  const bool changed = !shown_ || state != shown_state_;
  const ViewState view{.now = clock_.Wall(), .color = streams_.color, .notes = notes};
  if (mode_ == DisplayMode::kLive) {
    if (!changed && now - *shown_ < kRedrawPeriod) return;
    constexpr int kUsualWidth = 80;
    const std::vector<std::string> lines =
        RenderLive(backfill, view, streams_.width ? streams_.width() : kUsualWidth);
    Clear();
    for (const std::string& line : lines) streams_.err << line << "\n";
    drawn_lines_ = lines.size();
  } else {
    const bool due = mode_ == DisplayMode::kLines && shown_ && now - *shown_ >= kLinePeriod;
    if (!changed && !due) return;
    streams_.err << RenderLine(backfill, view) << "\n";
  }
  streams_.err.flush();
  shown_ = now;
  shown_state_ = std::move(state);
}

void ProgressDisplay::Say(const std::string& line) {
  Clear();
  streams_.err << line << "\n";
  streams_.err.flush();
}

void ProgressDisplay::Clear() {
  // Up to the first line that was drawn, then everything below it away.
  if (drawn_lines_ > 0) streams_.err << fmt::format("\r\x1b[{}A\x1b[J", drawn_lines_);
  drawn_lines_ = 0;
}

}  // namespace backfill::cli
