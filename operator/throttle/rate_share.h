#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

// One rate over many workers (docs/adr and README of operator/throttle; method: water-filling).
namespace backfill::throttle {

using namespace std::chrono_literals;

struct RateShareOptions {
  Duration ttl = 30s;        // a grant lasts this long from the sending of the message that it answers
  Duration refresh = 5s;     // grants are renewed this often, or at once when lowered
  Duration rotation = 60s;   // when the rate is too small for all workers, who has it changes this often
};

// A worker's figures as of its last report.
struct Demand {
  double wanted = 0;                // records/s that it could send
  std::uint64_t grant_sequence = 0;  // the last grant that it obeys
};

struct GrantAction {
  SessionId session;
  std::uint64_t sequence = 0;
  double records_per_second = 0;
  double burst = 0;
  Duration valid_for{};
};

// Splits one rate into grants so that, at every moment, the sum of what workers may believe they have is at most the rate
// (or, after a cut, at most the old rate until the smaller grants are acknowledged or the old ones expire).
// A grant is outstanding until a later one is acknowledged or it has expired, also for workers that are gone: decreases go
// out first, increases only from what came back. Pure, not thread-safe.
class RateShare {
 public:
  RateShare(const RateShareOptions& options, int batch_size);

  void SetRate(double records_per_second, Time now);  // 0: stop everything
  void Join(SessionId session, Time now);
  // The worker comes from an earlier leader with an unexpired grant: it counts as outstanding.
  void Adopt(SessionId session, double records_per_second, Duration valid_for, Time now);
  void Leave(SessionId session, Time now);  // the stream ended: its grant stays outstanding until it expires
  void Forget(SessionId session);           // the process is known to be dead
  void OnDemand(SessionId session, const Demand& demand, Time now);

  // Grants to send now. Call after any change and at least every 100 ms.
  std::vector<GrantAction> Tick(Time now);

  [[nodiscard]] double Outstanding(Time now) const;
  [[nodiscard]] double rate() const { return rate_; }

 private:
  double rate_ = 0;
  // (members are the implementer's)
};

}  // namespace backfill::throttle
