#include "cli/await.h"

#include <algorithm>
#include <utility>

#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

// An API server that is away or busy comes back; nothing of the backfill has changed by that.
bool MayPass(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kDeadline;
}

}  // namespace

Result<Sight> AwaitBackfill(OpenState& state, const Place& place, const std::string& name,
                            const Clock& clock, const AwaitOptions& options,
                            const std::function<bool(const Sight&)>& enough) {
  std::uint64_t seen = 0;
  std::optional<api::Backfill> last;
  if (state.cluster != nullptr) state.cluster->Follow(RefOf(place, name));
  for (;;) {
    // The runner first: if it was gone before the object was read, nothing will change that object
    // any more.
    std::optional<RunBy> runner = state.RunnerOf(place.Namespace(), name);
    std::vector<std::string> notes;
    Result<api::Backfill> read = ReadBackfill(*state.store, place, name);
    if (read.ok()) {
      last = std::move(read).value();
      if (state.cluster != nullptr) notes = {state.cluster->WatchNote()};
    } else if (last && state.cluster != nullptr && MayPass(read.error().code)) {
      notes = {Printable(read.error().message)};
    } else {
      return read.error();
    }
    if (!notes.empty() && notes.front().empty()) notes.clear();
    const Sight sight{*last, std::move(runner), clock.Steady(), std::move(notes)};
    if (enough(sight)) return sight;
    Time next = sight.now + options.look;
    if (options.until) next = std::min(next, *options.until);
    seen = TRY(state.store->WaitForChange(seen, next, {}));
  }
}

}  // namespace backfill::cli
