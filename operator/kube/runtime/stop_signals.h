#pragma once

#include <atomic>
#include <csignal>
#include <functional>
#include <stop_token>
#include <thread>

#include "base/result.h"

namespace backfill::kube {

// SIGTERM and SIGINT as a stop token; a second one ends the process at once, with exit code 1, for
// who waits before a terminal. A thread takes them instead of a handler, so a stop may do anything.
//
// Make it first in main, before there is a second thread: signals are blocked in this thread and in
// those that it starts, and stay so afterwards, as the process is about to end.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

 private:
  void Take();

  sigset_t signals_{};
  std::stop_source stop_;
  std::atomic<bool> over_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

// A main around `run`: until it ends by itself, or because of a signal. 0; or 1 after an error,
// which is logged.
int RunUntilStopped(const std::function<Status(const std::stop_token& stop)>& run);

}  // namespace backfill::kube
