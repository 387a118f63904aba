#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <stop_token>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/api_error.h"
#include "operator/kube/client/token_bucket.h"

namespace backfill::kube {

// Less than one at a time, or time that goes back, counts for the least there is.
struct RateLimits {  // R34: 20/s, burst 30
  Duration interval = std::chrono::milliseconds(50);
  int burst = 30;
};

// Holds requests back, in the order in which they come, and all of them for as long as a server
// asks for. Thread-safe. `clock` outlives it.
class RateLimiter {
 public:
  RateLimiter(RateLimits limits, const Clock& clock)
      : clock_(clock), bucket_(std::max(limits.interval, Duration(1)), std::max(limits.burst, 1)) {}

  // Returns when it is our turn. kTooManyRequests, at once, if that is not before the deadline,
  // with how long it would have been: so nothing piles up here. kAborted.
  ApiResult<Ok> Wait(Time deadline, const std::stop_token& stop);
  // After a refusal with Retry-After; at most 60 s from now.
  void HoldOff(Duration wait);

 private:
  const Clock& clock_;
  Mutex mu_;
  std::condition_variable_any changed_;
  TokenBucket bucket_ GUARDED_BY(mu_);
  Time held_until_ GUARDED_BY(mu_){};
};

}  // namespace backfill::kube
