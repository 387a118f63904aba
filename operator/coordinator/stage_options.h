#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "operator/lease/lease_book.h"
#include "operator/throttle/rate_share.h"

namespace backfill::coordinator {

using namespace std::chrono_literals;

// How a stage is served. The defaults suit one machine.
struct StageOptions {
  Duration fence = 50s;  // a worker stops this long after it sent the last answered message
  Duration min_ttl =
      60s;  // a shard is given away no sooner; more when the target's timeout asks for it
  Duration wire_margin =
      5s;  // beyond the target's timeout a request may stay on the wire this long
  Duration recovery_margin = 5s;  // beyond the TTL a new leader leaves alone what was in flight
  int max_leases = 2;             // held by a worker at the same time
  int max_reserved = 500;         // shards recorded as in flight before anyone asked
  // So much of what is asked for is reserved ahead; 2 s on a cluster, where a write takes longer.
  Duration reserve_ahead = 200ms;
  std::uint64_t min_split = 64;  // records

  Duration cursor_flush = 250ms;  // cursors are written this often; 5 s on a cluster
  Duration waited_flush =
      0ms;  // writes that a worker waits for are at least this far apart; 200 ms on a cluster
  int waited_in_a_row = 1;       // but for so many after a rest, as when a stage is opened
  Duration min_backoff = 100ms;  // after a failed write, doubled each time, jittered
  Duration max_backoff = 5s;
  std::uint32_t jitter_seed = 0;  // of the back-off; 0: another one each time

  double messages_per_second = 500;  // of all workers together; sets the report period
  Duration min_report_period = 250ms;
  Duration max_report_period = 10s;
  Duration min_reconnect_window =
      100ms;  // full jitter: a hundredth of a second for each worker, between these two
  Duration max_reconnect_window = 10s;
  throttle::RateShareOptions grants;
};

// The lease times for a target whose requests time out after `target_timeout`.
lease::LeaseOptions MakeLeaseOptions(const StageOptions& options, Duration target_timeout);

}  // namespace backfill::coordinator
