#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace backfill::worker {

using namespace std::chrono_literals;

// Exponential back-off with jitter: the n-th wait is drawn from the upper half of base x 2^(n-1),
// at most `cap`.
class Backoff {
 public:
  Backoff(Duration base, Duration cap, std::uint64_t seed)
      : base_(base), cap_(cap), random_(seed) {}
  Duration Wait(std::uint32_t failures);

 private:
  Duration base_;
  Duration cap_;
  std::mt19937_64 random_;
};

// Keeps retries a small part of the load, so that a target in trouble is not buried by them: over
// the last 30 s at most `percent` of the first attempts. One retry may always be in flight, or the
// last records would never end. Where retries have become the main work, as after a long outage,
// each that is answered earns another one in flight, 1, 2, 4.., until something fails for now.
class RetryBudget {
 public:
  explicit RetryBudget(std::uint32_t percent) : percent_(percent) {}

  void SetPercent(std::uint32_t percent) { percent_ = percent; }
  void OnFirstAttempts(std::uint32_t records, Time now) { At(now).first += records; }
  [[nodiscard]] bool Allows(std::uint32_t records, Time now);
  void OnRetryStarted(std::uint32_t records, Time now);
  void OnRetryEnded() { --in_flight_; }
  // The target has answered a retry, and not with another failure of this kind.
  void OnRetryAnswered(Time now);
  // Something, first attempt or not, failed in a way that calls for a retry.
  void OnTransientFailure() { earned_ = 1; }

 private:
  static constexpr std::int64_t kSeconds = 30;
  static constexpr std::int64_t kRecent = 3;         // seconds that tell what the main work is
  static constexpr std::uint32_t kMaxEarned = 1024;  // the highest concurrency there is
  struct Second {
    std::int64_t second = -1;
    std::uint64_t first = 0, retries = 0;
  };
  Second& At(Time now);
  // Of the last so many seconds, this one included.
  Second Sum(std::int64_t seconds, Time now);

  std::uint32_t percent_;
  std::uint32_t in_flight_ = 0;
  std::uint32_t earned_ = 1;  // so many may be in flight whatever the share
  std::array<Second, kSeconds> seconds_;
};

// When the whole target is left alone: because it asked for it (Retry-After), or because it cannot
// be reached. In the second case one request at a time probes it, less and less often, until one is
// answered; a restart of the service so costs a few attempts and not the attempts of every record.
class HoldBack {
 public:
  static constexpr Duration kMaxRetryAfter = 5min;
  static constexpr Duration kShortOutage = 30s;
  static constexpr Duration kWorthTelling = 1s;  // of an outage: a blip is no news

  explicit HoldBack(std::uint64_t seed) : backoff_(100ms, 5s, seed) {}

  void OnRetryAfter(Duration wait, Time now);
  void OnUnreachable(Time now, std::string_view why);
  void OnAnswer() { unreachable_ = 0; }
  // How long the target still wants to be left alone, as it said itself.
  [[nodiscard]] Duration AskedFor(Time now) const {
    return std::max(Duration(0), asked_until_ - now);
  }
  // Why it is out of reach, for people; empty: it is not, or only just.
  [[nodiscard]] std::string_view Trouble(Time now) const {
    const bool lasts = unreachable_ > 0 && now - outage_began_ >= kWorthTelling;
    return lasts ? std::string_view(why_) : std::string_view();
  }
  // Out of reach for so short a time that it says nothing about records: a restart, a failover.
  [[nodiscard]] bool InShortOutage(Time now) const {
    return unreachable_ > 0 && now - outage_began_ < kShortOutage;
  }

  [[nodiscard]] bool Allows(std::uint32_t requests_in_flight, Time now) const {
    return now >= until_ && (unreachable_ == 0 || requests_in_flight == 0);
  }
  [[nodiscard]] Time until() const { return until_; }

 private:
  Backoff backoff_;
  std::uint32_t unreachable_ = 0;  // probes in a row that failed
  Time outage_began_{};
  std::string why_;     // of the last probe
  Time asked_until_{};  // Retry-After
  Time until_{};
};

}  // namespace backfill::worker
