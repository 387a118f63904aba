#include "cli/watch.h"

#include <optional>
#include <ostream>

#include "cli/await.h"
#include "cli/ending.h"
#include "cli/exit_code.h"
#include "cli/progress_display.h"
#include "cli/status_text.h"

namespace backfill::cli {
namespace {

// Nothing more will change: whoever ran it is gone, or will be in a moment. A pause is no end, and
// neither is trouble that the runner waits out.
bool IsOver(const Sight& sight) {
  return !sight.runner || HasEnded(sight.backfill.status) ||
         FindEnding(sight.backfill) == Ending::kDryRunDone;
}

}  // namespace

int RunWatch(const WatchOptions& options, const Environment& env) {
  Streams& streams = env.streams;
  Result<OpenState> state = OpenExistingState(options.place, env, Access::kRead);
  if (!state.ok()) return Refuse(streams, state.error().message);
  ProgressDisplay display(streams, env.clock,
                          streams.live ? DisplayMode::kLive : DisplayMode::kLines);
  const Result<Sight> last =
      AwaitBackfill(*state, state->place, options.name, env.clock,
                    {.look = ProgressDisplay::kRedrawPeriod}, [&display](const Sight& sight) {
                      if (IsOver(sight)) return true;
                      display.Show(sight.backfill, sight.notes);
                      return false;
                    });
  display.Clear();
  if (!last.ok()) return Refuse(streams, last.error().message);
  const StatusView view{.now = env.clock.Wall(),
                        .color = streams.color_out,
                        .place = state->place,
                        .runner = last->runner};
  streams.out << DescribeBackfill(last->backfill, view);
  const std::optional<Ending> ending = FindEnding(last->backfill);
  return ending ? ExitCodeOf(*ending) : kExitStopped;
}

}  // namespace backfill::cli
