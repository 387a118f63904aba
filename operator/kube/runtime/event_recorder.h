#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <stop_token>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "operator/kube/runtime/event_aggregation.h"
#include "operator/kube/runtime/event_api.h"
#include "operator/kube/runtime/runtime_metrics.h"

namespace backfill::kube {

// Takes events from anywhere, and sends on a thread of its own what EventAggregation finds worth
// it. Whoever records an event never waits: of more than 1,000 that are not sent yet the rest is
// dropped and counted.
//
// Thread-safe, but for Start() and Stop(). What it refers to must outlive it. Stop() takes no more
// events and sends what it can of those it has within `drain`.
class EventRecorder {
 public:
  struct Options {
    EventAggregation::Options aggregation = {};
    std::size_t max_queued = 1'000;
    Duration request_timeout = std::chrono::seconds(5);
    int tries = 3;  // of a write that the server was not reached for
    Duration first_wait = std::chrono::seconds(1);  // between them, doubled each time
    Duration longest_wait = std::chrono::seconds(30);
    Duration drain = std::chrono::seconds(2);
  };

  EventRecorder(const Options& options, EventSink& sink, const Clock& clock,
                MetricRegistry& metrics);
  ~EventRecorder() { Stop(); }
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void Start();
  void Stop();

  void Record(Event event);

 private:
  void Run(const std::stop_token& stop);
  void Send(EventWrite write, const std::stop_token& stop);
  [[nodiscard]] Time RequestDeadline() const;
  bool WaitBefore(int attempt, const ApiError& error, const std::stop_token& stop);

  const Options options_;
  EventSink& sink_;
  const Clock& clock_;
  EventMetrics metrics_;
  EventAggregation aggregation_;  // of the thread

  mutable Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<Event> queue_ GUARDED_BY(mu_);
  bool stopped_ GUARDED_BY(mu_) = false;
  Time drain_until_ GUARDED_BY(mu_) = Time::max();

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace backfill::kube
