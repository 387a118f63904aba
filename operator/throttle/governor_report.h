#pragma once

#include "operator/throttle/tick.h"

// Turns the outcome of a tick into what is shown: state, reasons, condition, events.
namespace backfill::throttle {

// `rate`: what is granted. Also brings the memory of what was told up to date.
Decision Report(Tick& tick, double rate);

}  // namespace backfill::throttle
