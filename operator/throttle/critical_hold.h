#pragma once

#include "operator/throttle/tick.h"

// Steps 2 and 3: at critical the rate is 0 until the target has been well for a while. Each hold in
// a row is twice as long as the one before, and begins again at half the rate.
namespace backfill::throttle {

// Begins or prolongs a hold.
void WatchForCritical(Tick& tick);
// A hold decides the rate of this tick, be it by its end.
bool GoOnHolding(Tick& tick);
// So many holds in a row that a person should look.
bool AsksForPause(const Tick& tick);
// `backfill resume` after that.
void ForgetHolds(Tick& tick);

}  // namespace backfill::throttle
