#include "worker/engine/token_bucket.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace backfill::worker {
namespace {

// Rounding in the sum of many small fillings must not hold a record back for a whole wake-up.
constexpr double kEpsilon = 1e-6;

// A sender that waits for tokens wakes up a little late; what it earned meanwhile is not lost to
// it.
constexpr double kLateSeconds = 0.02;

double Sane(double x) { return std::isfinite(x) && x > 0 ? x : 0; }

}  // namespace

double TokenBucket::Burst() const {
  return std::max(grant_.burst * share_, std::min<double>(grant_.burst, batch_));
}

double TokenBucket::DepthFor(std::uint32_t records) const {
  return std::max(Burst(), records + Rate() * kLateSeconds);
}

double TokenBucket::TokensAt(Time now, double depth) const {
  const std::chrono::duration<double> since = std::max(now, filled_) - filled_;
  return std::min(depth, tokens_ + since.count() * Rate());
}

void TokenBucket::SetGrant(const RateGrant& grant, Time now) {
  const double saved = InForce(now) ? TokensAt(now, std::max(Burst(), tokens_)) : 0;
  grant_ = grant;
  grant_.records_per_second = Sane(grant.records_per_second);
  grant_.burst = Sane(grant.burst);
  tokens_ = std::min(saved, Burst());
  filled_ = now;
}

void TokenBucket::SetShare(double share, std::uint32_t batch, Time now) {
  if (share == share_ && batch == batch_) return;
  const double saved = InForce(now) ? TokensAt(now, std::max(Burst(), tokens_)) : 0;
  share_ = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0;
  batch_ = batch;
  tokens_ = std::min(saved, Burst());
  filled_ = std::max(now, filled_);
}

bool TokenBucket::Take(std::uint32_t records, Time now) {
  if (!InForce(now) || share_ <= 0) return false;
  const double tokens = TokensAt(now, DepthFor(records));
  if (tokens + kEpsilon < records) return false;
  tokens_ = std::max(0.0, tokens - records);
  filled_ = std::max(now, filled_);
  return true;
}

Time TokenBucket::ReadyAt(std::uint32_t records, Time now) const {
  if (!InForce(now) || share_ <= 0) return Time::max();
  const double missing = records - TokensAt(now, DepthFor(records));
  if (missing <= kEpsilon) return now;
  const double seconds = missing / Rate();
  if (!(seconds <= 86400)) return Time::max();
  return now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds)) +
         Duration(1);
}

}  // namespace backfill::worker
