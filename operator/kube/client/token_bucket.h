#pragma once

#include <algorithm>

#include "base/clock.h"

namespace backfill::kube {

// So many at once, then one in each interval. Exact: no fractions are added up. Pure, not
// thread-safe; the time never goes back.
class TokenBucket {
 public:
  // Starts full. `interval` above zero, `burst` at least 1.
  TokenBucket(Duration interval, int burst) : interval_(interval), burst_(burst) {}

  // How long to wait for a token.
  [[nodiscard]] Duration WaitFor(Time now) const {
    const Time full_at = std::max(full_at_, now) + interval_;
    return std::max(Duration::zero(), Duration(full_at - now) - burst_ * interval_);
  }
  // Takes it, even if it comes later: how long to wait for it.
  Duration Reserve(Time now) {
    const Duration wait = WaitFor(now);
    full_at_ = std::max(full_at_, now) + interval_;
    return wait;
  }
  // Takes a token if there is one.
  bool TryTake(Time now) {
    if (std::max(full_at_, now) + interval_ > now + burst_ * interval_) return false;
    full_at_ = std::max(full_at_, now) + interval_;
    return true;
  }

 private:
  Duration interval_;
  int burst_;
  Time full_at_ = Time::min();  // when all tokens that were taken will have come back
};

}  // namespace backfill::kube
