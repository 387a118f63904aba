#include "cli/summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/human.h"
#include "cli/live_view.h"
#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

struct Verdict {
  std::string text;
  Color color = Color::kNone;
};

std::string ReasonOf(const api::Status& status, std::string_view type) {
  const api::Condition* c = FindCondition(status, type);
  if (c == nullptr) return "";
  return c->message.empty() ? Printable(c->reason)
                            : Printable(c->reason) + ": " + Printable(c->message);
}

Verdict VerdictOf(const api::Backfill& backfill, std::optional<Ending> ending, bool stored) {
  if (!ending && !stored) {
    return {"stopped before its end; what could not be stored is done again by the next run",
            Color::kYellow};
  }
  if (!ending) return {"stopped before its end; everything done so far is kept", Color::kYellow};
  switch (*ending) {
    case Ending::kCompleted:
      return {"completed", Color::kGreen};
    case Ending::kDryRunDone:
      return {"dry run done; no record was changed", Color::kGreen};
    case Ending::kFailed:
      return {"failed: " + ReasonOf(backfill.status, "Succeeded"), Color::kRed};
    case Ending::kStalled:
      return {"needs a person: " + ReasonOf(backfill.status, "Stalled"), Color::kRed};
    case Ending::kPaused: {
      const std::string by = PausedBy(backfill);
      return {"is " + (by.empty() ? "paused: " + ReasonOf(backfill.status, "Paused") : by),
              Color::kYellow};
    }
  }
  return {};
}

std::string FailureText(const api::ProgressStatus& progress,
                        const std::map<std::string, std::uint64_t>& classes) {
  std::string text = Grouped(progress.failed) + " failed";
  std::string detail;
  for (const auto& [name, count] : classes)
    detail += fmt::format("{}{} {}", detail.empty() ? "" : ", ", Printable(name), Grouped(count));
  return detail.empty() ? text : text + " (" + detail + ")";
}

}  // namespace

std::string Summarize(const api::Backfill& backfill, const SummaryView& view) {
  const Verdict verdict = VerdictOf(backfill, view.ending, view.stored);
  std::string out =
      Paint(Printable(backfill.name) + " " + verdict.text, verdict.color, view.color) + "\n";
  const api::ProgressStatus* progress = ProgressOf(backfill.status);
  if (progress != nullptr && backfill.status.plan) {
    const std::uint64_t total = backfill.status.plan->records;
    out += fmt::format("  {} of {} ({}): {} updated, {} unchanged, {} skipped, {}\n",
                       Grouped(progress->records), Plural(total, "record"),
                       Percent(progress->records, total), Grouped(progress->updated),
                       Grouped(progress->unchanged), Grouped(progress->skipped),
                       FailureText(*progress, view.failures));
    const double seconds = std::chrono::duration<double>(view.took).count();
    const std::uint64_t done = progress->records - std::min(progress->records, view.records_before);
    const std::string of_which =
        view.records_before > 0 ? fmt::format(", {} of them in this run", Grouped(done)) : "";
    if (done > 0 && seconds > 0) {
      out += fmt::format("  took {}{}, {} on average\n", Lasting(seconds), of_which,
                         PerSecond(static_cast<double>(done) / seconds));
    }
    if (progress->redone_at_most > 0) {
      out += fmt::format("  at most {} may have been sent twice, after workers were lost\n",
                         Plural(progress->redone_at_most, "record"));
    }
  }
  const std::string next = NextStep(backfill, view.ending, view.place, view.file);
  if (!next.empty()) out += "  " + next + "\n";
  return out;
}

}  // namespace backfill::cli
