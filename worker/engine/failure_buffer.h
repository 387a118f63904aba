#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "worker/engine/record.h"

namespace backfill::worker {

// Failed records on their way to the coordinator's store. They go out before the progress that
// counts them, and again on every new stream as long as they are not in the store, since a
// coordinator that died may not have written them; repeating one changes nothing there. An entry
// leaves when the store has it, or with its lease. Not thread-safe.
//
// Bounded: at kMax the engine starts nothing until there is room (full()), so there are never more
// than kMax and what was in flight. A coordinator that does not say what is in its store (an older
// one) counts as having stored what it has answered; that much is kept to be repeated, but makes
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
  [[nodiscard]] std::size_t unsent() const { return unsent_; }

  // The coordinator has accepted all messages of this stream up to `answered`, and the failures in
  // those up to `durable` are in its store; 0: it does not say.
  void OnAck(std::uint64_t answered, std::uint64_t durable);
  // Messages are numbered from 1 again, and what is not known to be stored is sent again.
  void BeginStream();

  [[nodiscard]] bool full() const { return entries_.size() - accepted_ >= kMax; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  enum class State { kUnsent, kSent, kAccepted };  // kAccepted: by one that does not say more
  struct Entry {
    LeaseKey lease = {};
    FailedRecord failure = {};
    State state = State::kUnsent;
    std::uint64_t sequence = 0;  // of the message that carried it
  };
  void Recount();

  std::deque<Entry> entries_;
  std::size_t unsent_ = 0;
  std::size_t accepted_ = 0;
};

}  // namespace backfill::worker
