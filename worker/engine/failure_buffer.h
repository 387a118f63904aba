#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "worker/engine/record.h"

namespace backfill::worker {

// Failed records on their way to the coordinator. They go out before the progress that counts them,
// and again on every new stream, since a coordinator that died may not have written them; repeating
// one changes nothing there. A lease's failures are forgotten with the lease. Not thread-safe.
//
// Bounded: records that were never accepted stop the engine at kMax (full()); accepted ones make
// room, oldest first.
class FailureBuffer {
 public:
  static constexpr std::size_t kMax = 4096;
  static constexpr std::size_t kPerMessage = 500;

  struct Message {
    LeaseKey lease;
    std::vector<FailedRecord> failures;
  };

  void Add(const LeaseKey& lease, FailedRecord failure);
  void Forget(const LeaseKey& lease);

  // Up to kPerMessage unsent failures of one lease, oldest first; empty: none. The caller sends
  // them under `sequence`.
  Message Take(std::uint64_t sequence);
  [[nodiscard]] bool has_unsent() const { return unsent_ > 0; }

  // The coordinator has accepted all messages up to this one.
  void OnAnswered(std::uint64_t sequence);
  // Messages are numbered from 1 again, and everything is sent again.
  void BeginStream();

  [[nodiscard]] bool full() const { return unaccepted_ >= kMax; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  enum class State { kUnsent, kSent, kAccepted };
  struct Entry {
    LeaseKey lease = {};
    FailedRecord failure = {};
    State state = State::kUnsent;
    std::uint64_t sequence = 0;  // of the message that carried it
  };
  void Recount();

  std::deque<Entry> entries_;
  std::size_t unsent_ = 0;
  std::size_t unaccepted_ = 0;  // unsent or sent
};

}  // namespace backfill::worker
