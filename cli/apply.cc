#include "cli/apply.h"

#include <fmt/format.h>

#include <ostream>

#include "cli/admission.h"
#include "cli/backfill_file.h"
#include "cli/ending.h"
#include "cli/exit_code.h"
#include "cli/interventions.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"

namespace backfill::cli {

int RunApply(const ApplyOptions& options, const Environment& env) {
  Streams& streams = env.streams;
  if (options.place.cluster) {
    return Refuse(streams, "apply is for the state directory; on a cluster it is: " +
                               CommandToRun(options.file, options.place));
  }
  const auto loaded = LoadBackfill(options.file, options.place.ns, streams);
  if (!loaded) return kExitNotStarted;
  for (const std::string& w : loaded->warnings) streams.err << w << "\n";
  const api::Backfill& declared = loaded->backfill;
  const Place place = options.place.In(declared.ns);
  const std::string run = CommandForFile("run", options.file, place);
  Result<OpenState> state = OpenExistingState(place, env, Access::kWrite);
  if (!state.ok() && state.error().code == ErrorCode::kNotFound) {
    return Refuse(streams, fmt::format("{} has never been run in {}; start it with: {}",
                                       declared.name, place.state_dir, run));
  }
  if (!state.ok()) return Refuse(streams, state.error().message);

  std::vector<SpecChange> changes;
  std::vector<std::string> reasons;
  const auto written =
      ChangeBackfill(*state, place, declared.name, [&](api::Backfill& b) -> Result<bool> {
        Admission admission = Admit(b, declared);
        changes.clear();
        if (auto* refused = std::get_if<Refused>(&admission)) {
          reasons = std::move(refused->reasons);
          return Error{ErrorCode::kInvalid, "refused"};
        }
        auto* changed = std::get_if<AdmitChanged>(&admission);
        if (changed == nullptr) return false;
        changes = std::move(changed->changes);
        b = std::move(changed->updated);
        NoteIntervention(
            b, {FormatWallTime(env.clock.Wall()), env.user, "Changed", ChangesText(changes)});
        return true;
      });
  if (!written.ok()) {
    if (reasons.empty() && written.error().code == ErrorCode::kNotFound) {
      return Refuse(streams, fmt::format("{}; start it with: {}", written.error().message, run));
    }
    if (reasons.empty()) return Refuse(streams, written.error().message);
    for (const std::string& reason : reasons) streams.err << "error: " << Printable(reason) << "\n";
    streams.err << Printable(declared.name) << " stays as it was\n";
    return kExitNotStarted;
  }
  for (const SpecChange& change : changes)
    streams.out << declared.name << ": " << ToString(change) << "\n";
  if (changes.empty()) streams.out << declared.name << ": nothing differs\n";
  if (HasEnded(written->status)) {
    streams.err << declared.name << " has ended\n";
  } else if (!state->RunnerOf(place.Namespace(), declared.name)) {
    streams.err << "nothing is running it now; continue with: " << run << "\n";
  }
  return kExitDone;
}

}  // namespace backfill::cli
