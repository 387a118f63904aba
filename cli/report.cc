#include "cli/report.h"

#include <ostream>
#include <utility>

#include "cli/exit_code.h"
#include "cli/failures.h"
#include "cli/stored_backfill.h"
#include "cli/terminal_text.h"
#include "operator/report/run_report.h"

namespace backfill::cli {
namespace {

Result<Account> ReadAccount(kube::ObjectStore& store, const Place& place, const std::string& name) {
  Account account;
  account.version = BACKFILL_VERSION;
  account.backfill = TRY(ReadBackfill(store, place, name));
  account.interventions = ReadInterventions(account.backfill);
  for (const ledger::FailedRecord& f :
       TRY(ReadFailuresOf(store, account.backfill).Annotate("reading the failures")))
    ++account.failures[std::string(ledger::ToString(f.failure_class))];
  if (account.backfill.spec.dry_run) return account;
  const auto run = report::ReportStore(store).Read(account.backfill);
  if (!run.ok() && run.error().code == ErrorCode::kNotFound) return account;
  if (!run.ok() && run.error().code == ErrorCode::kPermission) {
    // Who may look at backfills may not look at every ConfigMap of the namespace.
    account.gap = "when it began and ended is not known: " + run.error().message;
    return account;
  }
  if (!run.ok()) return run.error().Annotate("reading the report");
  if (run->backfill_uid != account.backfill.uid) return account;  // of an earlier one
  account.started = run->started;
  account.ended = run->ended;
  account.throttling = run->throttling;
  return account;
}

}  // namespace

int RunReport(const ReportOptions& options, const Environment& env) {
  const Result<OpenState> state = OpenExistingState(options.place, env, Access::kRead);
  if (!state.ok()) return Refuse(env.streams, state.error().message);
  const Result<Account> account = ReadAccount(*state->store, state->place, options.name);
  if (!account.ok()) return Refuse(env.streams, account.error().message);
  if (options.output == "json") {
    env.streams.out << ReportToJson(*account);
  } else if (options.output == "markdown") {
    env.streams.out << ReportToMarkdown(*account);
  } else {
    env.streams.out << ReportToText(*account);
  }
  if (!account->gap.empty()) env.streams.err << "note: " << Printable(account->gap) << "\n";
  return kExitDone;
}

}  // namespace backfill::cli
