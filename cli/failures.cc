#include "cli/failures.h"

#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/exit_code.h"
#include "cli/stored_backfill.h"
#include "cli/table.h"
#include "cli/terminal_text.h"
#include "operator/coordinator/ledger_store.h"
#include "operator/reconcile/source_keys.h"

namespace backfill::cli {

using Json = nlohmann::ordered_json;

Result<std::vector<ledger::FailedRecord>> ReadFailuresOf(kube::ObjectStore& store,
                                                         const api::Backfill& backfill) {
  return coordinator::ReadFailures(store, StageOf(backfill));
}

Result<api::Spec> ResolveFailures(kube::ObjectStore& store, const api::Backfill& backfill) {
  return reconcile::ResolveSource(backfill, store, [&store](const reconcile::StageKey& key) {
    return coordinator::ReadFailures(store, key);
  });
}

std::string FailuresToTable(const std::vector<ledger::FailedRecord>& failures) {
  Table table({"KEY", "CLASS", "ATTEMPTS", "MESSAGE"});
  for (const ledger::FailedRecord& f : failures) {
    table.Add({{Printable(f.key)},
               {std::string(ledger::ToString(f.failure_class))},
               {std::to_string(f.attempts)},
               {Printable(f.message)}});
  }
  return table.Render("", false);
}

std::string FailuresToJsonLines(const std::vector<ledger::FailedRecord>& failures) {
  std::string out;
  for (const ledger::FailedRecord& f : failures) {
    const Json line{{"key", f.key},           {"class", ledger::ToString(f.failure_class)},
                    {"attempts", f.attempts}, {"message", f.message},
                    {"shard", f.shard.value}, {"position", f.position}};
    // ASCII only: a key is anything, and this may be read on a terminal, too.
    out += line.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  }
  return out;
}

int RunFailures(const FailuresOptions& options, const Environment& env) {
  const Result<OpenState> state = OpenExistingState(options.place, env, Access::kRead);
  if (!state.ok()) return Refuse(env.streams, state.error().message);
  const Result<api::Backfill> backfill = ReadBackfill(*state->store, state->place, options.name);
  if (!backfill.ok()) return Refuse(env.streams, backfill.error().message);
  const auto failures = ReadFailuresOf(*state->store, *backfill);
  if (!failures.ok()) return Refuse(env.streams, failures.error().message);
  if (options.output == "json") {
    env.streams.out << FailuresToJsonLines(*failures);
  } else if (failures->empty()) {
    env.streams.err << Printable(options.name) << " has no failed records\n";
  } else {
    env.streams.out << FailuresToTable(*failures);
  }
  return kExitDone;
}

}  // namespace backfill::cli
