#include "operator/kube/runtime/work_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace backfill::kube {
namespace {

double SecondsOf(Duration d) { return std::chrono::duration<double>(d).count(); }

// Nobody waits longer without looking at the clock: after the machine slept, or the clock of a test
// was moved, no key is late by more.
constexpr Duration kLongestWait = std::chrono::seconds(1);

}  // namespace

WorkQueue::WorkQueue(Options options, const Clock& clock, MetricRegistry& metrics)
    : clock_(clock),
      metrics_(metrics, options.name),
      max_keys_(options.keys.max_keys),
      keys_(options.keys),
      backoff_(options.backoff) {}

bool WorkQueue::Add(const ObjectKey& key, Priority priority) {
  return AddAfter(key, Duration::zero(), priority);
}

bool WorkQueue::AddAfter(const ObjectKey& key, Duration delay, Priority priority) {
  KeyQueue::Added added;
  {
    MutexLock l(mu_);
    if (shut_down_) return false;
    added = AddLocked(key, priority, delay);
  }
  return Count(added);
}

bool WorkQueue::AddRateLimited(const ObjectKey& key, Priority priority) {
  KeyQueue::Added added;
  {
    MutexLock l(mu_);
    if (shut_down_) return false;
    added = AddLocked(key, priority, backoff_.Next(key, clock_.Steady()));
    if (added == KeyQueue::Added::kRefused) backoff_.Forget(key);
  }
  metrics_.retries.Increment();
  return Count(added);
}

void WorkQueue::Forget(const ObjectKey& key) {
  MutexLock l(mu_);
  backoff_.Forget(key);
}

int WorkQueue::failures(const ObjectKey& key) const {
  MutexLock l(mu_);
  return backoff_.failures(key);
}

std::optional<WorkQueue::Taken> WorkQueue::Pop(const std::stop_token& stop) {
  std::optional<Taken> taken;
  {
    MutexLock l(mu_);
    while (!stop.stop_requested()) {
      const Time now = clock_.Steady();
      keys_.Tick(now);
      taken = keys_.Take(now);
      if (taken) break;
      if (shut_down_ && keys_.processing() == 0) break;  // what is worked on may come up again
      Duration wait = kLongestWait;
      if (const auto due = keys_.NextDue()) wait = std::min<Duration>(wait, *due - now);
      const std::uint64_t seen = changes_;
      changed_.wait_for(mu_, stop, wait, [&]() REQUIRES(mu_) { return changes_ != seen; });
    }
  }
  if (taken) metrics_.queue_seconds.Observe(SecondsOf(taken->waited));
  return taken;
}

std::optional<WorkQueue::Taken> WorkQueue::TryPop() {
  std::optional<Taken> taken;
  {
    MutexLock l(mu_);
    const Time now = clock_.Steady();
    keys_.Tick(now);
    taken = keys_.Take(now);
  }
  if (taken) metrics_.queue_seconds.Observe(SecondsOf(taken->waited));
  return taken;
}

void WorkQueue::Done(const ObjectKey& key) {
  Duration took{};
  {
    MutexLock l(mu_);
    took = keys_.Done(key, clock_.Steady());
    ++changes_;
    // All of them: when the last key of a queue that is shut down is done, nobody waits on.
    shut_down_ ? changed_.notify_all() : changed_.notify_one();
    if (keys_.ready() == 0 && keys_.processing() == 0) idle_.notify_all();
  }
  metrics_.work_seconds.Observe(SecondsOf(took));
}

void WorkQueue::ShutDown(Rest rest) {
  MutexLock l(mu_);
  shut_down_ = true;
  switch (rest) {
    case Rest::kDrop:
      keys_.Clear();
      break;
    case Rest::kDrain:
      keys_.ClearDelayed();
      break;
  }
  ++changes_;
  changed_.notify_all();
  idle_.notify_all();
}

bool WorkQueue::WaitIdle(Time deadline) {
  MutexLock l(mu_);
  return idle_.wait_until(mu_, deadline, [this]() REQUIRES(mu_) {
    return keys_.ready() == 0 && keys_.processing() == 0;
  });
}

void WorkQueue::Tick() {
  MutexLock l(mu_);
  keys_.Tick(clock_.Steady());
  ++changes_;
  changed_.notify_all();
}

std::optional<Time> WorkQueue::NextDue() const {
  MutexLock l(mu_);
  return keys_.NextDue();
}

bool WorkQueue::TakeLoss() {
  MutexLock l(mu_);
  if (!lost_ || keys_.size() > max_keys_ / 2) return false;
  return std::exchange(lost_, false);
}

WorkQueue::Sample WorkQueue::Look() const {
  MutexLock l(mu_);
  return {.ready = keys_.ready(),
          .delayed = keys_.delayed(),
          .processing = keys_.processing(),
          .running = keys_.RunningAt(clock_.Steady())};
}

void WorkQueue::Publish() {
  const Sample sample = Look();
  metrics_.depth.Set(static_cast<double>(sample.ready));
  metrics_.unfinished_seconds.Set(SecondsOf(sample.running.sum));
  metrics_.longest_running_seconds.Set(SecondsOf(sample.running.longest));
}

KeyQueue::Added WorkQueue::AddLocked(const ObjectKey& key, Priority priority, Duration delay) {
  const Time now = clock_.Steady();
  // Cut before it is added to the time, so that nothing overflows; KeyQueue cuts it to less.
  const Time due = now + std::clamp<Duration>(delay, Duration::zero(), std::chrono::hours(24));
  const KeyQueue::Added added = keys_.AddAt(key, priority, due, now);
  if (added == KeyQueue::Added::kRefused) lost_ = true;
  ++changes_;
  changed_.notify_one();
  return added;
}

bool WorkQueue::Count(KeyQueue::Added added) {
  switch (added) {
    case KeyQueue::Added::kNew:
      metrics_.adds.Increment();
      return true;
    case KeyQueue::Added::kMerged:
      return true;
    case KeyQueue::Added::kRefused:
      metrics_.refused.Increment();
      return false;
  }
  return false;
}

}  // namespace backfill::kube
