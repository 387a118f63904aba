#include "cli/status.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/await.h"
#include "cli/ending.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/locks.h"
#include "cli/status_text.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

using Json = nlohmann::ordered_json;

StatusView ViewOf(const StatusOptions& options, const Environment& env) {
  return {.now = env.clock.Wall(),
          .color = env.streams.color_out,
          .place = options.place,
          .runner = {}};
}

int PrintAll(const StatusOptions& options, const Environment& env, OpenState& state) {
  const auto backfills = ListBackfills(*state.store, options.place);
  if (!backfills.ok()) return Refuse(env.streams, backfills.error().message);
  if (options.output == "json") {
    Json list{{"apiVersion", "v1"}, {"kind", "List"}, {"items", Json::array()}};
    for (const api::Backfill& b : *backfills)
      list["items"].push_back(Json::parse(api::ToJson(b), nullptr, false));
    env.streams.out << PrintableLines(list.dump(2, ' ', false, Json::error_handler_t::replace))
                    << "\n";
  } else if (backfills->empty()) {
    env.streams.err << "no backfills in " << Printable(options.place.state_dir) << "\n";
  } else {
    std::vector<ListedBackfill> listed;
    listed.reserve(backfills->size());
    for (const api::Backfill& b : *backfills)
      listed.push_back({b, FindRunner(state.dir.RunnerLock(b.ns, b.name)).has_value()});
    env.streams.out << TabulateBackfills(listed, ViewOf(options, env));
  }
  return kExitDone;
}

void PrintOne(const StatusOptions& options, const Environment& env, const StateDir& dir,
              const api::Backfill& backfill) {
  if (options.output == "json") {
    env.streams.out << PrintableLines(api::ToJson(backfill));
    return;
  }
  StatusView view = ViewOf(options, env);
  view.runner = FindRunner(dir.RunnerLock(backfill.ns, backfill.name));
  env.streams.out << DescribeBackfill(backfill, view);
}

// Waits for the end, then prints as without waiting.
int PrintWhenEnded(const StatusOptions& options, const Environment& env, OpenState& state) {
  std::optional<Time> until;
  if (options.timeout) until = env.clock.Steady() + *options.timeout;
  const Result<Sight> last = AwaitBackfill(state, options.place, options.name, env.clock,
                                           {.until = until}, [&until](const Sight& sight) {
                                             return FindEnding(sight.backfill) || !sight.runner ||
                                                    (until && sight.now >= *until);
                                           });
  if (!last.ok()) return Refuse(env.streams, last.error().message);
  const std::optional<Ending> ending = FindEnding(last->backfill);
  if (!ending && !last->runner) {
    env.streams.err << Printable(options.name) << " has not ended, and nothing is running it now\n";
  } else if (!ending) {
    env.streams.err << Printable(options.name) << " has not ended after "
                    << Lasting(std::chrono::duration<double>(*options.timeout).count()) << "\n";
  }
  PrintOne(options, env, state.dir, last->backfill);
  return ending ? ExitCodeOf(*ending) : kExitStopped;
}

}  // namespace

int RunStatus(const StatusOptions& options, const Environment& env) {
  if (options.name.empty() && options.wait)
    return Refuse(env.streams, "--wait needs the name of a backfill");
  if (options.timeout && !options.wait) return Refuse(env.streams, "--timeout needs --wait");
  Result<OpenState> state = OpenExistingState(options.place, env, Access::kRead);
  if (!state.ok()) return Refuse(env.streams, state.error().message);
  if (options.name.empty()) return PrintAll(options, env, *state);
  if (options.wait) return PrintWhenEnded(options, env, *state);
  const Result<api::Backfill> backfill = ReadBackfill(*state->store, options.place, options.name);
  if (!backfill.ok()) return Refuse(env.streams, backfill.error().message);
  PrintOne(options, env, state->dir, *backfill);
  return kExitDone;
}

}  // namespace backfill::cli
