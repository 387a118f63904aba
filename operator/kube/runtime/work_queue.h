#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/client/api_object.h"
#include "operator/kube/runtime/key_backoff.h"
#include "operator/kube/runtime/key_queue.h"
#include "operator/kube/runtime/runtime_metrics.h"

namespace backfill::kube {

// What event handlers add to and workers take from: KeyQueue and KeyBackoff behind one lock (R14 to
// R17). Whoever waits in Pop() also watches the time for the keys that are delayed, so there is no
// timer thread; while all workers are busy, nobody could take such a key anyway.
//
// Thread-safe. The lock is held for O(log n) and never while anybody else's code runs. The clock
// and the metrics must outlive it.
class WorkQueue {
 public:
  struct Options {
    std::string name = "queue";
    KeyQueue::Options keys = {};
    KeyBackoff::Options backoff = {};
  };
  using Taken = KeyQueue::Taken;

  WorkQueue(Options options, const Clock& clock, MetricRegistry& metrics);

  // Each is false if the key was not taken: the queue is shut down, or full (see TakeLoss()).
  bool Add(const ObjectKey& key, Priority priority = Priority::kNormal);
  bool AddAfter(const ObjectKey& key, Duration delay, Priority priority = Priority::kNormal);
  // After a failure: the delay grows until Forget().
  bool AddRateLimited(const ObjectKey& key, Priority priority = Priority::kNormal);
  void Forget(const ObjectKey& key);
  [[nodiscard]] int failures(const ObjectKey& key) const;

  // Waits for a key. Done() must follow. Absent: stopped, or shut down and nothing is left to do.
  std::optional<Taken> Pop(const std::stop_token& stop);
  // Of what is ready now.
  std::optional<Taken> TryPop();
  void Done(const ObjectKey& key);

  enum class Rest {
    kDrop,   // what is ready is forgotten
    kDrain,  // what is ready is still given out, also what was added while being worked on
  };
  // Takes no more keys; those that wait for a time are forgotten. A later kDrop overrides kDrain.
  void ShutDown(Rest rest);
  // Until nothing is ready or being worked on. False: not by the deadline.
  bool WaitIdle(Time deadline);

  // A manual clock was moved: makes ready what is due.
  void Tick();
  [[nodiscard]] std::optional<Time> NextDue() const;

  // True once after keys were refused for want of room, as soon as half of it is free: whoever
  // knows all keys has to add them again.
  bool TakeLoss();

  struct Sample {
    std::size_t ready = 0;
    std::size_t delayed = 0;
    std::size_t processing = 0;
    KeyQueue::Running running;
  };
  [[nodiscard]] Sample Look() const;
  // Sets the gauges that change as time passes; call each second or so.
  void Publish();

 private:
  KeyQueue::Added AddLocked(const ObjectKey& key, Priority priority, Duration delay) REQUIRES(mu_);
  bool Count(KeyQueue::Added added);

  const Clock& clock_;
  QueueMetrics metrics_;
  const std::size_t max_keys_;

  mutable Mutex mu_;
  std::condition_variable_any changed_;  // for those that wait in Pop()
  std::condition_variable_any idle_;
  KeyQueue keys_ GUARDED_BY(mu_);
  KeyBackoff backoff_ GUARDED_BY(mu_);
  std::uint64_t changes_ GUARDED_BY(mu_) = 0;  // that may concern who waits
  bool shut_down_ GUARDED_BY(mu_) = false;
  bool lost_ GUARDED_BY(mu_) = false;
};

}  // namespace backfill::kube
