#pragma once

#include "operator/throttle/tick.h"

// Steps 4 to 9: cuts at once and deeply, comes back from above the target, raises slowly, remembers
// which rates were good and which broke the target. Also what it does at the floor.
namespace backfill::throttle {

// A ceiling rises with time.
void AgeCeiling(Tick& tick);
// The whole of it; `degraded`: only what lowers the rate.
void Steer(Tick& tick, bool degraded);
// At the floor and still over budget for long: it is not us. True: yielding decides the rate of
// this tick, be it by its end.
bool Yield(Tick& tick);
// For the next ticks.
void RememberPressures(Tick& tick);

}  // namespace backfill::throttle
