#pragma once

#include "operator/reconcile/stage_host.h"

namespace backfill::v1 {
class HeldBack;
}

namespace backfill::coordinator {

// What one worker says that it does not use of its grant, and why; within bounds, whatever it says.
struct HeldBack {
  double by_latency = 0, by_refusals = 0;  // parts of the grant
  double latency_seconds = 0, usual_seconds = 0;
};

HeldBack ToHeldBack(const v1::HeldBack& message);

// Adds what another worker says.
void AddTo(reconcile::HeldByWorkers& sum, const HeldBack& worker);

}  // namespace backfill::coordinator
