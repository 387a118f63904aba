#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.h"
#include "operator/kube/client/api_object.h"

namespace backfill::kube {

// How soon a key is wanted. What everybody sends at once, the initial list and resyncs, is kLow, so
// that what has changed just now need not wait behind it (R17).
enum class Priority { kLow, kNormal };

// Which keys are to be worked on next: the rules of client-go's workqueue, delaying queue and
// controller-runtime's priority queue in one (R14, R15, R17).
//
// - A key is in it once, however often it is added, and is never taken twice at the same time: what
//   is added while it is being worked on comes up again after Done().
// - A key that waits for a time keeps the earliest one. To add it without a time ends its wait.
// - To add it again with a higher priority lifts it; a lower one changes nothing.
// - Within a priority, first come, first served. kNormal goes first, but of `low_share` keys taken
//   while a low one waits, one is the longest waiting low one: the n-th low key is taken after
//   n * low_share takes at most.
// - A key more than `max_keys` is refused.
//
// Pure, not thread-safe; the time is an argument and never goes back. O(log n) a call.
class KeyQueue {
 public:
  struct Options {
    std::size_t max_keys = 100'000;  // waiting, ready or being worked on
    int low_share = 8;
    Duration max_delay = std::chrono::hours(10);  // longer ones are cut to it
  };
  struct Taken {
    ObjectKey key;
    Priority priority = Priority::kNormal;  // for adding it again after a failure
    Duration waited{};                      // since it was ready
  };

  explicit KeyQueue(const Options& options) : options_(options) {}
  KeyQueue(const KeyQueue&) = delete;
  KeyQueue& operator=(const KeyQueue&) = delete;

  enum class Added {
    kNew,
    kMerged,   // it was there already
    kRefused,  // there are too many
  };
  Added Add(const ObjectKey& key, Priority priority, Time now);
  Added AddAt(const ObjectKey& key, Priority priority, Time due, Time now);

  // Makes ready what is due.
  void Tick(Time now);
  // When the next one is due; it may be past. Absent: none waits for a time.
  [[nodiscard]] std::optional<Time> NextDue() const;

  // The next key, which is being worked on from now on. Absent: none is ready.
  std::optional<Taken> Take(Time now);
  // How long it was worked on. Ends the process if it was not being worked on.
  Duration Done(const ObjectKey& key, Time now);

  // Forgets what is ready and what waits for a time; what is being worked on stays.
  void Clear();
  // Forgets what waits for a time.
  void ClearDelayed();

  [[nodiscard]] std::size_t ready() const { return ready_[0].size() + ready_[1].size(); }
  [[nodiscard]] std::size_t delayed() const { return delayed_.size(); }
  [[nodiscard]] std::size_t processing() const { return started_.size(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  // Of what is being worked on: the longest time, and the sum of them all.
  struct Running {
    Duration longest{};
    Duration sum{};
  };
  [[nodiscard]] Running RunningAt(Time now) const;

 private:
  enum class Pending {
    kNo,
    kDelayed,
    kReady,
    kAgain,  // ready once it is no longer being worked on
  };
  struct Entry {
    Pending pending = Pending::kNo;
    bool processing = false;
    Priority priority = Priority::kLow;  // of what is pending
    Time due{};                          // kDelayed
    Time since{};                        // kReady, kAgain: when it was added
    Time started{};                      // while it is being worked on
    std::uint64_t order = 0;             // its place in ready_ or delayed_
  };
  using Entries = std::map<ObjectKey, Entry>;
  using Node = Entries::value_type;  // its address does not change

  Node* Find(const ObjectKey& key);
  void MakeReady(Node& node, Time since);
  void Unlist(Node& node);
  void Lift(Node& node, Priority priority);
  [[nodiscard]] std::map<std::uint64_t, Node*>& Line(Priority priority) {
    return ready_[static_cast<std::size_t>(priority)];
  }

  const Options options_;
  Entries entries_;
  std::array<std::map<std::uint64_t, Node*>, 2> ready_;  // by Priority, in order
  std::map<std::pair<Time, std::uint64_t>, Node*> delayed_;
  std::set<std::pair<Time, const Node*>> started_;
  std::uint64_t next_order_ = 0;
  int normal_in_a_row_ = 0;  // taken while a low one was waiting
};

}  // namespace backfill::kube
