#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"

namespace backfill::coordinator {

// One thread that runs tasks in the order of their arrival, and `settle` after them and at least
// every `tick`. Settling looks at every worker of a stage: under many tasks it takes a tenth of the
// time at most, and waits for that 5 ms at most. Post and Call are thread-safe; Call must not come
// from the loop itself.
class Loop {
 public:
  // Whoever posts is bounded itself (a message per stream, a batch per stage); this catches what is
  // not.
  static constexpr std::size_t kMaxQueue = 100'000;

  Loop(std::string name, Duration tick, std::function<void()> settle);
  ~Loop();  // Stop()

  void Start();
  // What is queued is dropped. Idempotent.
  void Stop();

  // False: the loop has stopped, or its queue is full.
  bool Post(std::function<void()> task);

  // Runs it on the loop and returns its value. kDeadline: no answer in time, it may still run;
  // kAborted: stopped. So it must own what it uses.
  template <typename T>
  Result<T> Call(std::function<T()> task, Duration timeout) {
    auto promise = std::make_shared<std::promise<T>>();
    std::future<T> future = promise->get_future();
    if (!Post([promise, task = std::move(task)] { promise->set_value(task()); })) {
      return Error{ErrorCode::kAborted, "the coordinator has stopped"};
    }
    promise.reset();
    if (future.wait_for(timeout) != std::future_status::ready) {
      return Error{ErrorCode::kDeadline, "the coordinator's loop does not answer"};
    }
    try {
      return future.get();
    } catch (const std::future_error&) {  // dropped with the queue
      return Error{ErrorCode::kAborted, "the coordinator has stopped"};
    }
  }

 private:
  void Run(const std::stop_token& stop);

  const std::string name_;
  const Duration tick_;
  const std::function<void()> settle_;

  Mutex mu_;
  std::condition_variable_any wake_;
  std::deque<std::function<void()>> queue_ GUARDED_BY(mu_);
  bool stopped_ GUARDED_BY(mu_) = false;

  std::jthread thread_;
};

}  // namespace backfill::coordinator
