#pragma once

#include <condition_variable>
#include <stop_token>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/api_error.h"

namespace backfill::kube {

// A bucket that fills evenly (R34: 20/s, burst 30). What it has not yet is lent: each taker is told
// when its turn is. Pure.
class TokenBucket {
 public:
  TokenBucket(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

  // When the next token is there, not before `now`.
  [[nodiscard]] Time Next(Time now) const;
  void Take(Time now);

 private:
  [[nodiscard]] double TokensAt(Time now) const;
  const double per_second_;
  const double burst_;
  double tokens_ = burst_;  // negative: lent
  Time at_{};               // when it had so many
};

struct RateLimits {
  double per_second = 20;
  double burst = 30;
};

// Holds requests back, in the order in which they come, and all of them for as long as a server
// asks for. Thread-safe. `clock` outlives it.
class RateLimiter {
 public:
  RateLimiter(RateLimits limits, const Clock& clock)
      : clock_(clock), bucket_(limits.per_second, limits.burst) {}

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
