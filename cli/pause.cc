#include "cli/pause.h"

#include <fmt/format.h>

#include <ostream>

#include "cli/await.h"
#include "cli/ending.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/interventions.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxReason = 256;
constexpr Duration kPatience = 2min;  // longer than any worker takes to finish what is in flight

enum class Awaited { kPaused, kRunning };

bool Reached(const api::Backfill& backfill, Awaited awaited) {
  if (HasEnded(backfill.status)) return true;  // the end came first
  const api::Condition* paused = FindCondition(backfill.status, "Paused");
  const bool is_paused = paused != nullptr && paused->status == api::ConditionStatus::kTrue &&
                         backfill.status.phase == api::Phase::kPaused;
  const bool idle = !backfill.status.rate || backfill.status.rate->current <= 0;
  return awaited == Awaited::kPaused ? is_paused && idle : paused != nullptr && !is_paused;
}

// Waits for the runner to do what was asked.
int AwaitRunner(Awaited awaited, const std::string& name, const Environment& env,
                OpenState& state) {
  Streams& streams = env.streams;
  const Place& place = state.place;
  const Time until = env.clock.Steady() + kPatience;
  const Result<Sight> last =
      AwaitBackfill(state, place, name, env.clock, {.until = until}, [&](const Sight& sight) {
        return Reached(sight.backfill, awaited) || !sight.runner || sight.now >= until;
      });
  if (!last.ok()) return Refuse(streams, last.error().message);
  if (Reached(last->backfill, awaited)) {
    streams.out << name << " is " << (awaited == Awaited::kPaused ? "paused" : "running again")
                << "\n";
    return kExitDone;
  }
  if (!last->runner) {
    streams.err << "its runner has ended meanwhile\n";
    return kExitStopped;
  }
  streams.err << fmt::format(
      "{} is not {} after {}; see {}\n", name, awaited == Awaited::kPaused ? "paused" : "running",
      Lasting(std::chrono::duration<double>(kPatience).count()), CommandFor("status", name, place));
  for (const std::string& note : last->notes) streams.err << note << "\n";
  return kExitStopped;
}

bool IsRun(const OpenState& state, const std::string& name) {
  return state.RunnerOf(state.place.Namespace(), name).has_value();
}

// Who does it: on a cluster who the API server says we are, whatever this machine calls us.
std::string WhoAsks(const OpenState& state, const Environment& env) {
  std::string known = state.cluster == nullptr ? "" : state.cluster->UserName();
  return known.empty() ? env.user : known;
}

}  // namespace

int RunPause(const PauseOptions& options, const Environment& env) {
  Streams& streams = env.streams;
  if (options.reason.size() > kMaxReason) {
    return Refuse(streams, fmt::format("--reason is longer than {} bytes", kMaxReason));
  }
  Result<OpenState> state = OpenExistingState(options.place, env, Access::kWrite);
  if (!state.ok()) return Refuse(streams, state.error().message);
  const std::string who = WhoAsks(*state, env);
  const std::string value = options.reason.empty() ? fmt::format("paused by {} at {}", who,
                                                                 FormatWallTime(env.clock.Wall()))
                                                   : options.reason;
  bool was_paused = false;
  const auto written =
      ChangeBackfill(*state, state->place, options.name, [&](api::Backfill& b) -> Result<bool> {
        if (HasEnded(b.status)) {
          return Error{ErrorCode::kInvalid,
                       fmt::format("{} has ended already; there is nothing to pause", b.name)};
        }
        const auto [it, added] = b.annotations.try_emplace(api::kPausedAnnotation, value);
        was_paused = !added;
        if (!added && (options.reason.empty() || it->second == value)) return false;
        it->second = value;
        NoteIntervention(b, {FormatWallTime(env.clock.Wall()), who, "Paused", options.reason});
        return true;
      });
  if (!written.ok()) return Refuse(streams, written.error().message);
  streams.out << options.name << (was_paused ? " was paused already: " : ": ") << PausedBy(*written)
              << "\n";
  if (!IsRun(*state, options.name)) {
    streams.err << "nothing is running it now; it stays paused until: "
                << CommandFor("resume", options.name, state->place) << "\n";
    return kExitDone;
  }
  if (options.wait) return AwaitRunner(Awaited::kPaused, options.name, env, *state);
  return kExitDone;
}

int RunResume(const ResumeOptions& options, const Environment& env) {
  Streams& streams = env.streams;
  Result<OpenState> state = OpenExistingState(options.place, env, Access::kWrite);
  if (!state.ok()) return Refuse(streams, state.error().message);
  const std::string who = WhoAsks(*state, env);
  bool was_paused = false;
  const auto written =
      ChangeBackfill(*state, state->place, options.name, [&](api::Backfill& b) -> Result<bool> {
        was_paused = b.annotations.erase(api::kPausedAnnotation) > 0;
        if (was_paused) NoteIntervention(b, {FormatWallTime(env.clock.Wall()), who, "Resumed", ""});
        return was_paused;
      });
  if (!written.ok()) return Refuse(streams, written.error().message);
  if (HasEnded(written->status)) {
    streams.err << options.name << " has ended already; there is nothing to resume\n";
    return kExitDone;
  }
  if (written->spec.paused) {
    if (was_paused) streams.out << options.name << ": the pause by hand is taken back\n";
    streams.err << fmt::format(
        "{} is {}paused by its file: set spec.paused: false there, then {}\n", options.name,
        was_paused ? "still " : "",
        state->cluster == nullptr ? CommandForFile("apply", "FILE", state->place)
                                  : CommandToRun("FILE", state->place));
    return kExitStopped;
  }
  streams.out << options.name << (was_paused ? " is no longer paused\n" : " was not paused\n");
  if (!IsRun(*state, options.name)) {
    streams.err << "nothing is running it now; continue with: "
                << CommandToRun("FILE", state->place) << "\n";
    return options.wait ? kExitStopped : kExitDone;
  }
  if (options.wait) return AwaitRunner(Awaited::kRunning, options.name, env, *state);
  return kExitDone;
}

}  // namespace backfill::cli
