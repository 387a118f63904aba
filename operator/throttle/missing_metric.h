#pragma once

#include "operator/throttle/tick.h"

// A required metric is missing: not zero, not bad, but a state with a path of its own. Freeze, then
// land, then what the budget says; and with care back to normal.
namespace backfill::throttle {

// Notes when the first of them went missing, and what to do when the last one is back.
void WatchForMissing(Tick& tick);
// Some required metric is missing, and that is not to be ignored.
[[nodiscard]] bool Degraded(const Tick& tick);
// What degraded does to the rate at this tick.
void Land(Tick& tick);
// All that is missing may come back with a few records.
[[nodiscard]] bool MayProbe(const Tick& tick);
// A person should look.
[[nodiscard]] bool MissingForLong(const Tick& tick);
// It lands already, or is held.
[[nodiscard]] bool LandsAlready(const Tick& tick);
// "p99: Error: connection refused"
[[nodiscard]] std::string WhatIsMissing(const Tick& tick);

}  // namespace backfill::throttle
