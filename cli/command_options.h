#pragma once

#include <string>

#include "cli/apply.h"
#include "cli/failures.h"
#include "cli/lint.h"
#include "cli/pause.h"
#include "cli/place.h"
#include "cli/plan.h"
#include "cli/replay_throttle.h"
#include "cli/report.h"
#include "cli/retry.h"
#include "cli/run.h"
#include "cli/shards.h"
#include "cli/status.h"
#include "cli/watch.h"

namespace CLI {
class App;
}

namespace backfill::cli {

struct CompletionOptions {
  std::string shell;  // or "names"
  Place place;
};

// Everything that can be said on the command line.
struct Options {
  LintOptions lint;
  PlanOptions plan;
  RunOptions run;
  StatusOptions status;
  WatchOptions watch;
  FailuresOptions failures;
  ShardsOptions shards;
  RetryOptions retry;
  ReportOptions report;
  ReplayThrottleOptions replay_throttle;
  PauseOptions pause;
  ResumeOptions resume;
  ApplyOptions apply;
  CompletionOptions completion;
  PlaceFlags where;  // of whichever command it is
  std::string topic;
  std::string timeout;
};

// Adds all commands, with their options and helps; `options` must outlive the parsing. Who types
// "kubectl backfill" reads that in the examples.
void AddCommands(CLI::App& app, Options& options, CalledAs called_as);

// What stands above and below the list of commands.
std::string_view AboutProgram();
std::string ProgramExamples(CalledAs called_as);

}  // namespace backfill::cli
