#include "cli/status.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/await.h"
#include "cli/ending.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/status_text.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "operator/api/decode.h"

namespace backfill::cli {
namespace {

using Json = nlohmann::ordered_json;

StatusView ViewOf(const StatusOptions& options, const Environment& env, const OpenState& state) {
  return {.now = env.clock.Wall(),
          .color = env.streams.color_out,
          .wide = options.output == "wide",
          .place = state.place,
          .runner = {}};
}

std::string AllText(const OpenState& state) {
  if (state.cluster == nullptr) return Printable(state.place.state_dir);
  return state.place.all_namespaces ? "any namespace" : "namespace " + state.place.Namespace();
}

// One document after another, as kubectl takes them.
std::string ToYamlDocuments(const std::vector<api::Backfill>& backfills) {
  std::string out;
  for (const api::Backfill& b : backfills) out += (out.empty() ? "" : "---\n") + api::ToYaml(b);
  return out;
}

int PrintAll(const StatusOptions& options, const Environment& env, OpenState& state) {
  const auto listing = ListBackfills(*state.store, state.place);
  if (!listing.ok()) return Refuse(env.streams, listing.error().message);
  const std::vector<api::Backfill>& backfills = listing->backfills;
  if (options.output == "json") {
    Json list{{"apiVersion", "v1"}, {"kind", "List"}, {"items", Json::array()}};
    for (const api::Backfill& b : backfills)
      list["items"].push_back(Json::parse(api::ToJson(b), nullptr, false));
    env.streams.out << PrintableLines(list.dump(2, ' ', false, Json::error_handler_t::replace))
                    << "\n";
  } else if (options.output == "yaml") {
    env.streams.out << PrintableLines(ToYamlDocuments(backfills));
  } else if (backfills.empty() && listing->problems.empty()) {
    env.streams.err << "no backfills in " << AllText(state) << "\n";
  } else {
    std::vector<ListedBackfill> listed;
    listed.reserve(backfills.size());
    for (const api::Backfill& b : backfills)
      listed.push_back({b, state.RunnerOf(b.ns, b.name).has_value()});
    if (!listed.empty()) env.streams.out << TabulateBackfills(listed, ViewOf(options, env, state));
  }
  // One that cannot be read hides no other.
  for (const std::string& problem : listing->problems)
    env.streams.err << "error: " << Printable(problem) << "\n";
  return listing->problems.empty() ? kExitDone : kExitNotStarted;
}

void PrintOne(const StatusOptions& options, const Environment& env, const OpenState& state,
              const api::Backfill& backfill) {
  if (options.output == "json") {
    env.streams.out << PrintableLines(api::ToJson(backfill));
    return;
  }
  if (options.output == "yaml") {
    env.streams.out << PrintableLines(api::ToYaml(backfill));
    return;
  }
  StatusView view = ViewOf(options, env, state);
  view.runner = state.RunnerOf(backfill.ns, backfill.name);
  if (options.output == "wide") {
    env.streams.out << TabulateBackfills({{backfill, view.runner.has_value()}}, view);
    return;
  }
  env.streams.out << DescribeBackfill(backfill, view);
}

// Waits for the end, then prints as without waiting.
int PrintWhenEnded(const StatusOptions& options, const Environment& env, OpenState& state) {
  std::optional<Time> until;
  if (options.timeout) until = env.clock.Steady() + *options.timeout;
  const Result<Sight> last = AwaitBackfill(
      state, state.place, options.name, env.clock, {.until = until}, [&until](const Sight& sight) {
        return FindEnding(sight.backfill) || !sight.runner || (until && sight.now >= *until);
      });
  if (!last.ok()) return Refuse(env.streams, last.error().message);
  const std::optional<Ending> ending = FindEnding(last->backfill);
  if (!ending && !last->runner) {
    env.streams.err << Printable(options.name) << " has not ended, and nothing is running it now\n";
  } else if (!ending) {
    env.streams.err << Printable(options.name) << " has not ended after "
                    << Lasting(std::chrono::duration<double>(*options.timeout).count()) << "\n";
    for (const std::string& note : last->notes) env.streams.err << note << "\n";
  }
  PrintOne(options, env, state, last->backfill);
  return ending ? ExitCodeOf(*ending) : kExitStopped;
}

}  // namespace

int RunStatus(const StatusOptions& options, const Environment& env) {
  if (options.name.empty() && options.wait)
    return Refuse(env.streams, "--wait needs the name of a backfill");
  if (options.timeout && !options.wait) return Refuse(env.streams, "--timeout needs --wait");
  if (!options.name.empty() && options.place.all_namespaces)
    return Refuse(env.streams, "a name is of one namespace: say which with -n instead of -A");
  Result<OpenState> state = OpenExistingState(options.place, env, Access::kRead);
  if (!state.ok()) return Refuse(env.streams, state.error().message);
  if (options.name.empty()) return PrintAll(options, env, *state);
  if (options.wait) return PrintWhenEnded(options, env, *state);
  const Result<api::Backfill> backfill = ReadBackfill(*state->store, state->place, options.name);
  if (!backfill.ok()) return Refuse(env.streams, backfill.error().message);
  PrintOne(options, env, *state, *backfill);
  return kExitDone;
}

}  // namespace backfill::cli
