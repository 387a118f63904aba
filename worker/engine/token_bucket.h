#pragma once

#include <cstdint>

#include "base/clock.h"

namespace backfill::worker {

// A rate, given for a limited time.
struct RateGrant {
  std::uint64_t sequence = 0;
  double records_per_second = 0;
  double burst = 0;
  Time expires{};
};

// Paces records at the rate that was last granted, exact over any stretch of time from 1 per second
// to millions. Starts empty; after `expires`, or with rate 0, nothing is given, whatever had been
// saved up. Not thread-safe.
class TokenBucket {
 public:
  // What was earned so far was earned at the old rate. Values that are not finite or negative count
  // as 0.
  void SetGrant(const RateGrant& grant, Time now);
  // From now on only this part of what is granted is used, 0 to 1, and of its burst; of that so
  // many records stay, or what is earned slowly would never become a batch. Likewise.
  void SetShare(double share, std::uint32_t batch, Time now);

  // All of `records` or nothing. A batch larger than the burst deepens the bucket to its own size,
  // or it would never go.
  bool Take(std::uint32_t records, Time now);

  // When Take() can succeed if nothing changes; Time::max(): not under this grant.
  [[nodiscard]] Time ReadyAt(std::uint32_t records, Time now) const;

  [[nodiscard]] bool InForce(Time now) const {
    return grant_.records_per_second > 0 && now < grant_.expires;
  }
  [[nodiscard]] const RateGrant& grant() const { return grant_; }

 private:
  [[nodiscard]] double Rate() const { return grant_.records_per_second * share_; }
  [[nodiscard]] double Burst() const;
  [[nodiscard]] double DepthFor(std::uint32_t records) const;
  [[nodiscard]] double TokensAt(Time now, double depth) const;

  RateGrant grant_;
  double share_ = 1;
  std::uint32_t batch_ = 1;
  double tokens_ = 0;
  Time filled_{};  // `tokens_` is as of this moment
};

}  // namespace backfill::worker
