#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/range.h"
#include "worker/engine/record.h"

namespace backfill::scale {

// Sees what all simulated workers are given and what they send, and says which rule of the protocol
// was broken: what nobody could see who looks at one worker, or at the coordinator alone.
//
// - A lease is given to one process once; a shard that is done is never leased again.
// - At no moment do two workers send records of one shard: who sends under a later attempt finds
//   nothing of an earlier one on the wire, and nothing of it comes afterwards.
// - A shard is done once.
// - What all workers together may send is never more than the rate.
//
// Not thread-safe.
class Referee {
 public:
  explicit Referee(std::int64_t records) : sent_(static_cast<std::size_t>(records)) {}

  void OnLease(int worker, const worker::LeaseKey& lease);
  void OnSent(int worker, const worker::LeaseKey& lease,
              const std::vector<worker::Record>& records);
  void OnAnswered(int worker, const worker::LeaseKey& lease);
  // The worker was told that the end of its lease is durable.
  void OnDurable(int worker, const worker::LeaseKey& lease);

  // The stage's rate from now on. The one before it may be in force for `ttl` longer.
  void OnRate(double records_per_second, Time now, Duration ttl);
  // What the grants of all workers add up to.
  void OnGrants(double records_per_second, Time now);

  [[nodiscard]] std::uint64_t leases() const { return leases_; }
  [[nodiscard]] std::uint64_t shards_durable() const { return durable_; }
  [[nodiscard]] std::uint64_t sent() const { return sends_; }
  [[nodiscard]] std::uint64_t sent_again() const { return sent_again_; }
  [[nodiscard]] std::uint64_t NeverSent() const;
  // The first ones, and how many there were.
  [[nodiscard]] const std::vector<std::string>& complaints() const { return complaints_; }
  [[nodiscard]] std::uint64_t broken() const { return broken_; }

 private:
  struct Shard {
    Attempt given{};
    int holder = -1;  // of `given`
    Attempt sending{};
    int sender = -1;  // of `sending`
    int in_flight = 0;
    bool durable = false;
    Attempt done{};
  };
  void Complain(const std::string& what);

  std::vector<std::uint8_t> sent_;  // by position
  std::unordered_map<std::int32_t, Shard> shards_;
  std::uint64_t leases_ = 0, durable_ = 0, sends_ = 0, sent_again_ = 0, broken_ = 0;
  double rate_ = 0;
  double rate_before_ = 0;
  Time before_until_{};
  std::vector<std::string> complaints_;
};

}  // namespace backfill::scale
