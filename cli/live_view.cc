#include "cli/live_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/ending.h"
#include "cli/human.h"
#include "cli/terminal_text.h"
#include "cli/throttle_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

Color ColorOf(const api::Backfill& backfill) {
  if (IsTrue(backfill.status, "Stalled")) return Color::kRed;
  if (!backfill.status.phase) return Color::kDim;
  switch (*backfill.status.phase) {
    case api::Phase::kPending:
    case api::Phase::kPlanning:
    case api::Phase::kAwaitingApproval:
      return Color::kBold;
    case api::Phase::kDryRunning:
    case api::Phase::kRunning:
    case api::Phase::kCompleted:
      return Color::kGreen;
    case api::Phase::kPaused:
      return Color::kYellow;
    case api::Phase::kFailed:
    case api::Phase::kCancelled:
      return Color::kRed;
  }
  return Color::kNone;
}

std::string PhaseText(const api::Status& status) {
  return status.phase ? std::string(api::ToString(*status.phase)) : "Pending";
}

struct Segment {
  std::string text;
  Color color = Color::kNone;
};

// Packs segments into as few lines as fit, in order, two blanks apart; what is too wide for a line
// of its own is cut.
std::vector<std::string> Flow(const std::vector<Segment>& segments, std::size_t width, bool color) {
  constexpr std::string_view kGap = "  ";
  std::vector<std::string> lines;
  std::size_t used = 0;
  for (const Segment& segment : segments) {
    if (segment.text.empty()) continue;
    const std::string text = Fit(segment.text, width);
    const std::size_t columns = Columns(text);
    if (lines.empty() || used + kGap.size() + columns > width) {
      lines.emplace_back();
      used = 0;
    } else {
      lines.back() += kGap;
      used += kGap.size();
    }
    lines.back() += Paint(text, segment.color, color);
    used += columns;
  }
  return lines;
}

// A sentence on as many lines as it needs, but no more than a few.
std::vector<std::string> Paragraph(const Segment& segment, std::size_t width, bool color) {
  constexpr std::size_t kMaxLines = 4;
  std::vector<std::string> lines = Wrap(segment.text, width, kMaxLines);
  for (std::string& line : lines) line = Paint(line, segment.color, color);
  return lines;
}

void Append(std::vector<std::string>& lines, std::vector<std::string> more) {
  std::move(more.begin(), more.end(), std::back_inserter(lines));
}

std::uint64_t PlannedRecords(const api::Status& status) {
  return status.plan ? status.plan->records : 0;
}

std::vector<Segment> CountSegments(const api::ProgressStatus& progress) {
  std::vector<Segment> segments{{"updated " + Grouped(progress.updated)},
                                {"unchanged " + Grouped(progress.unchanged)}};
  if (progress.skipped > 0) segments.push_back({"skipped " + Grouped(progress.skipped)});
  segments.push_back(
      {"failed " + Grouped(progress.failed), progress.failed > 0 ? Color::kRed : Color::kNone});
  return segments;
}

std::vector<Segment> ActivitySegments(const api::Status& status, WallTime now) {
  std::vector<Segment> segments;
  if (const std::string rate = RateText(status); !rate.empty()) {
    const bool throttled = IsTrue(status, "Throttled");
    segments.push_back({rate, throttled ? Color::kYellow : Color::kNone});
    segments.push_back({ThrottleSummary(status, now)});
  }
  if (status.workers && status.workers->desired > 0) {
    segments.push_back(
        {fmt::format("workers {}/{}", status.workers->connected, status.workers->desired)});
  }
  return segments;
}

}  // namespace

std::string ProgressBar(std::uint64_t done, std::uint64_t total, std::size_t columns) {
  if (columns < 3) return std::string(columns, '=');
  const std::size_t room = columns - 2;
  done = std::min(done, total);
  const bool full = done == total && total > 0;
  const double ratio = total == 0 ? 0.0 : static_cast<double>(done) / static_cast<double>(total);
  const std::size_t filled =
      full ? room
           : std::min(room - 1,
                      static_cast<std::size_t>(std::floor(ratio * static_cast<double>(room))));
  std::string bar(room, ' ');
  std::fill_n(bar.begin(), filled, '=');
  if (!full && done > 0) bar[filled] = '>';
  return "[" + bar + "]";
}

std::string Percent(std::uint64_t done, std::uint64_t total) {
  if (done >= total) return total == 0 ? "0.0 %" : "100.0 %";
  const double percent =
      std::floor(static_cast<double>(done) / static_cast<double>(total) * 1000.0) / 10.0;
  return fmt::format("{:.1f} %", std::min(percent, 99.9));
}

std::vector<Notice> NoticesOf(const api::Backfill& backfill) {
  std::vector<Notice> notices;
  const api::Status& status = backfill.status;
  const auto add = [&](const char* type, bool serious) {
    const api::Condition* c = FindCondition(status, type);
    std::string text = Printable(c->reason);
    if (!c->message.empty()) text += ": " + Printable(c->message);
    const bool said = std::any_of(notices.begin(), notices.end(),
                                  [&](const Notice& n) { return n.text == text; });
    if (!said) notices.push_back({serious, text});
  };
  if (IsTrue(status, "Stalled")) add("Stalled", true);
  const api::Condition* ready = FindCondition(status, "Ready");
  if (ready != nullptr && ready->status == api::ConditionStatus::kFalse) add("Ready", true);
  if (IsTrue(status, "Ready") && !ready->message.empty() && !HasEnded(status))
    notices.push_back({false, Printable(ready->message)});  // why it is not as fast as it could be
  if (const std::string by = PausedBy(backfill); !by.empty() && !HasEnded(status)) {
    notices.push_back({false, by});
  } else if (IsTrue(status, "Paused")) {
    add("Paused", false);
  }
  if (IsTrue(status, "Throttled")) add("Throttled", false);
  // The phase says the rest.
  if (IsTrue(status, "Reconciling")) {
    const api::Condition* c = FindCondition(status, "Reconciling");
    notices.push_back({false, Printable(c->message.empty() ? c->reason : c->message)});
  }
  return notices;
}

std::string TimeLeft(const api::Status& status, WallTime now) {
  const std::optional<WallTime> eta = ParseWallTime(status.eta);
  if (!eta) return "";
  const double seconds = std::chrono::duration<double>(*eta - now).count();
  return seconds < 1 ? "almost done" : Lasting(seconds) + " left";
}

std::string RateText(const api::Status& status) {
  if (!status.rate) return "";
  const api::RateStatus& rate = *status.rate;
  std::string text = PerSecond(rate.current);
  if (rate.limit > 0) text += " of " + PerSecond(rate.limit);
  if (!rate.limited_by.empty()) text += fmt::format(" (limited by {})", Printable(rate.limited_by));
  return text;
}

std::vector<std::string> RenderLive(const api::Backfill& backfill, const ViewState& state,
                                    int width_wanted) {
  constexpr int kNarrowest = 20, kWidest = 500;
  const auto width = static_cast<std::size_t>(std::clamp(width_wanted, kNarrowest, kWidest));
  const api::Status& status = backfill.status;
  const api::ProgressStatus* progress = ProgressOf(status);
  const std::uint64_t done = progress == nullptr ? 0 : progress->records;
  const std::uint64_t total = PlannedRecords(status);

  std::vector<Segment> head{{Printable(backfill.name), Color::kBold},
                            {PhaseText(status), ColorOf(backfill)}};
  if (const std::string left = TimeLeft(status, state.now); !left.empty()) head.push_back({left});
  std::vector<std::string> lines = Flow(head, width, state.color);
  if (status.plan) {
    constexpr std::size_t kMaxBar = 60;
    const std::string percent = Percent(done, total);
    const std::size_t bar = std::min(kMaxBar, width - percent.size() - 1);
    const std::string counted = Grouped(done) + " of " + Plural(total, "record");
    Append(lines,
           Flow({{ProgressBar(done, total, bar) + " " + percent}, {counted}}, width, state.color));
  }
  Append(lines, Flow(ActivitySegments(status, state.now), width, state.color));
  if (progress != nullptr) Append(lines, Flow(CountSegments(*progress), width, state.color));
  for (const Notice& notice : NoticesOf(backfill)) {
    Append(lines, Paragraph({notice.text, notice.serious ? Color::kRed : Color::kYellow}, width,
                            state.color));
  }
  for (const std::string& note : state.notes)
    Append(lines, Paragraph({note, Color::kYellow}, width, state.color));
  return lines;
}

std::string RenderLine(const api::Backfill& backfill, const ViewState& state) {
  const api::Status& status = backfill.status;
  std::vector<std::string> parts{PhaseText(status)};
  if (const api::ProgressStatus* p = ProgressOf(status); p != nullptr && status.plan) {
    parts.push_back(Percent(p->records, status.plan->records));
    parts.push_back(Grouped(p->records) + " of " + Plural(status.plan->records, "record"));
    if (p->failed > 0) parts.push_back(Grouped(p->failed) + " failed");
  }
  for (const Segment& s : ActivitySegments(status, state.now))
    if (!s.text.empty()) parts.push_back(s.text);
  if (const std::string left = TimeLeft(status, state.now); !left.empty()) parts.push_back(left);
  for (const Notice& notice : NoticesOf(backfill)) parts.push_back(notice.text);
  for (const std::string& note : state.notes) parts.push_back(note);
  return fmt::format("{}: {}", Printable(backfill.name), fmt::join(parts, ", "));
}

}  // namespace backfill::cli
