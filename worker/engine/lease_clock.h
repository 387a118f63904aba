#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "worker/engine/record.h"

namespace backfill::worker {

// Until when this worker may send for each of its leases. This is the worker's half of the promise
// that no two workers ever send records of one shard: a lease lasts until `fence` after the SENDING
// of the last message that the coordinator has answered for it, so a delayed answer can only
// shorten it. The coordinator counts its longer TTL from the receipt.
//
// Sending times are remembered for the last kRemembered messages of the current stream; an answer
// to anything else (older, never sent, of an earlier stream) extends nothing. Not thread-safe;
// `now` never goes back.
class LeaseClock {
 public:
  static constexpr std::uint64_t kRemembered = 1024;

  explicit LeaseClock(Duration fence) : fence_(fence) {}

  // From now on; leases that are held keep the end that they have.
  void SetFence(Duration fence) { fence_ = fence; }

  // A new stream numbers its messages from 1.
  void BeginStream() { last_sent_ = 0; }
  // Call before the message is handed to the network. Returns its sequence number.
  std::uint64_t OnSend(Time now);
  [[nodiscard]] std::uint64_t last_sent() const { return last_sent_; }
  [[nodiscard]] std::optional<Time> SentAt(std::uint64_t sequence) const;

  // A lease was given in answer to that message. False: it has expired on its way, or answers
  // nothing known.
  bool Add(const LeaseKey& lease, std::uint64_t answers, Time now);
  // The coordinator confirms the lease in answer to that message. No effect on a lease that is
  // unknown or has expired.
  void Extend(const LeaseKey& lease, std::uint64_t answers, Time now);
  void Remove(const LeaseKey& lease) { ends_.erase(lease); }

  // May a request for it start at this moment?
  [[nodiscard]] bool MaySend(const LeaseKey& lease, Time now) const;
  [[nodiscard]] std::optional<Time> End(const LeaseKey& lease) const;

  // Removes and returns what has expired.
  std::vector<LeaseKey> Expire(Time now);

 private:
  Duration fence_;
  std::uint64_t last_sent_ = 0;
  std::array<Time, kRemembered> sent_{};
  std::map<LeaseKey, Time> ends_;
};

}  // namespace backfill::worker
