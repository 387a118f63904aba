#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/run_by.h"
#include "cli/stored_backfill.h"
#include "operator/api/backfill.h"

namespace backfill::cli {

// A backfill that another process may be running, at one moment.
struct Sight {
  api::Backfill backfill;
  std::optional<RunBy> runner;  // nullopt: nobody runs it, so nothing of it changes by itself
  Time now;
  std::vector<std::string> notes = {};  // on what can be seen just now; printable
};

struct AwaitOptions {
  Duration look = std::chrono::seconds(1);   // at least so often, since no change announces an end
                                             // of the runner
  std::optional<Time> until = std::nullopt;  // look again then, at the latest
};

// Looks now and whenever something changes, until it is `enough`; returns what was seen last. On a
// cluster that is a watch, which outlives an API server that is away for a while. Errors as
// ReadBackfill().
Result<Sight> AwaitBackfill(OpenState& state, const Place& place, const std::string& name,
                            const Clock& clock, const AwaitOptions& options,
                            const std::function<bool(const Sight&)>& enough);

}  // namespace backfill::cli
