#include "operator/kube/client/rate_limiter.h"

#include <fmt/format.h>

#include <algorithm>

namespace backfill::kube {
namespace {

constexpr Duration kMaxHoldOff = std::chrono::seconds(60);
// The clock need not be the one that a condition variable waits by.
constexpr Duration kLook = std::chrono::milliseconds(50);

}  // namespace

ApiResult<Ok> RateLimiter::Wait(Time deadline, const std::stop_token& stop) {
  MutexLock l(mu_);
  const Time begin = clock_.Steady();
  const Time turn = begin + bucket_.WaitFor(begin);
  Time at = std::max(turn, held_until_);
  const auto too_late = [&](Time now) {
    ApiError e;
    e.kind = ApiErrorKind::kTooManyRequests;
    e.retry_after = std::chrono::ceil<std::chrono::milliseconds>(at - now);
    e.message = fmt::format("held back for {} ms to spare the API server", e.retry_after->count());
    return e;
  };
  if (at > deadline) return too_late(begin);
  bucket_.Reserve(begin);
  while (true) {
    if (stop.stop_requested()) {
      ApiError e;
      e.kind = ApiErrorKind::kAborted;
      e.message = "stopped while held back";
      return e;
    }
    const Time now = clock_.Steady();
    at = std::max(turn, held_until_);  // a server may have asked for more meanwhile
    if (now >= at) return Ok{};
    if (at > deadline) return too_late(now);
    changed_.wait_for(mu_, stop, std::min(kLook, at - now), [] { return false; });
  }
}

void RateLimiter::HoldOff(Duration wait) {
  MutexLock l(mu_);
  held_until_ = std::max(held_until_, clock_.Steady() + std::min(wait, kMaxHoldOff));
}

}  // namespace backfill::kube
