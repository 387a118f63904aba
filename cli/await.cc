#include "cli/await.h"

#include <algorithm>
#include <utility>

namespace backfill::cli {

Result<Sight> AwaitBackfill(OpenState& state, const Place& place, const std::string& name,
                            const Clock& clock, const AwaitOptions& options,
                            const std::function<bool(const Sight&)>& enough) {
  std::uint64_t seen = 0;
  for (;;) {
    // The runner first: if it was gone before the object was read, nothing will change that object
    // any more.
    std::optional<RunnerInfo> runner = FindRunner(state.dir.RunnerLock(place.Namespace(), name));
    api::Backfill backfill = TRY(ReadBackfill(*state.store, place, name));
    const Sight sight{std::move(backfill), std::move(runner), clock.Steady()};
    if (enough(sight)) return sight;
    Time next = sight.now + options.look;
    if (options.until) next = std::min(next, *options.until);
    seen = TRY(state.store->WaitForChange(seen, next, {}));
  }
}

}  // namespace backfill::cli
