#include "cli/replay_throttle.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>
#include <system_error>

#include "base/clock.h"
#include "cli/backfill_file.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "operator/decision_log/replay.h"

namespace backfill::cli {
namespace {

// Up to a line feed; what is too long for a decision is dropped. False: there are no more.
bool NextLine(std::istream& in, std::string& line) {
  line.clear();
  bool any = false;
  for (int c = in.get(); c != std::istream::traits_type::eof(); c = in.get()) {
    any = true;
    if (c == '\n') return true;
    if (line.size() <= decision_log::kMaxLine) line.push_back(static_cast<char>(c));
  }
  return any;
}

void ShowDecision(const decision_log::StepLine& step, std::ostream& out) {
  const throttle::Decision& d = step.decision;
  std::string why;
  if (d.binding) why = fmt::format("  pressure {:.2f}", d.pressure);
  if (!d.message.empty()) why += "  " + Printable(d.message);
  for (const throttle::Transition& transition : d.transitions)
    why += fmt::format("  [{}]", throttle::ToString(transition.kind));
  out << fmt::format("{}  {}  {:>10}  {:<10}  {:<14}{}\n", FormatWallTime(step.at),
                     Printable(step.governor), PerSecond(d.rate), throttle::ToString(d.state),
                     throttle::ToString(d.limited_by), why);
}

void ShowSummary(const decision_log::Replay& replay, Streams& streams) {
  const decision_log::ReplayCounts& counts = replay.counts();
  for (const decision_log::Difference& d : replay.differences())
    streams.out << fmt::format("line {}, {}: {} was {}, is now {}\n", d.line, Printable(d.governor),
                               d.field, Printable(d.logged), Printable(d.now));
  if (counts.invalid > 0)
    streams.err << fmt::format("warning: {} that cannot be understood; the first: {}\n",
                               Plural(counts.invalid, "line"), Printable(replay.problem()));
  if (counts.unanchored > 0)
    streams.err << fmt::format(
        "warning: left out {} before the log says where their governor stands\n",
        Plural(counts.unanchored, "decision"));
  if (counts.decisions == 0) {
    streams.err << "error: there is no decision in it that can be made again\n";
    return;
  }
  streams.out << fmt::format(
      "{} of {}, made again: {}\n", Plural(counts.decisions, "decision"),
      Plural(replay.governors(), "governor"),
      counts.different == 0 ? "all the same" : Grouped(counts.different) + " came out differently");
}

// Empty: it could be read.
std::string ReadLog(const std::string& log, const ReplayThrottleOptions& options,
                    decision_log::Replay& replay, Streams& streams) {
  std::ifstream file;
  if (log != "-") {
    errno = 0;
    file.open(log);
    if (!file) return std::generic_category().message(errno);
    // A directory can be opened, too.
    if (file.peek() == std::ifstream::traits_type::eof()) return "is empty, or no file";
  }
  std::istream& in = log == "-" ? streams.in : file;
  std::string line;
  while (NextLine(in, line)) {
    const auto step = replay.Add(line);
    if (step && options.decisions) ShowDecision(*step, streams.out);
  }
  return in.bad() ? "cannot be read to its end" : "";
}

}  // namespace

int RunReplayThrottle(const ReplayThrottleOptions& options, Streams& streams) {
  decision_log::Replay replay;
  for (const std::string& log : options.logs) {
    const std::string problem = ReadLog(log, options, replay, streams);
    if (!problem.empty()) return Refuse(streams, ShownFile(log) + ": " + problem);
  }
  ShowSummary(replay, streams);
  if (replay.counts().decisions == 0) return kExitNotStarted;
  return replay.counts().different == 0 ? kExitDone : kExitDecisionsDiffer;
}

}  // namespace backfill::cli
