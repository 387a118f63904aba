#pragma once

#include <string_view>

#include "base/clock.h"

namespace backfill::kube {

// When an error that stands in an object's status is tried again (R19): 10 s after it began, then
// after twice the time each, and at last every 6 min; each later by 0 to 20 % of what lies between,
// the same share for the same uid. It depends on the status alone, so that a restart with hundreds
// of failing objects neither tries them all at once nor begins anew (F25; cert-manager). Pure.
//
// The first such time after `now`. A `failed_since` in the future counts as `now`.
WallTime NextRetry(WallTime failed_since, WallTime now, std::string_view uid);

}  // namespace backfill::kube
