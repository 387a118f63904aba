#pragma once

#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "cli/descriptor.h"
#include "cli/environment.h"

namespace backfill::cli {

// SIGINT, SIGTERM and SIGHUP, taken by a thread of their own instead of a handler: so a request to
// stop may do anything. While it listens the signals are blocked in the calling thread and in all
// that it starts; children must unblock them.
class SignalInterrupts final : public Interrupts {
 public:
  // Signals that follow the first one within `same_request` belong to it: `timeout` and other
  // wrappers signal the process and then its group, and nobody who presses Ctrl-C once means twice.
  explicit SignalInterrupts(Duration same_request = std::chrono::milliseconds(250));
  ~SignalInterrupts() override { Ignore(); }

  void Listen(std::function<void()> first, std::function<void()> second) override;
  void Ignore() override;

 private:
  void Take(const std::function<void()>& first, const std::function<void()>& second) const;

  const Duration same_request_;
  sigset_t taken_{};
  sigset_t before_{};
  Descriptor wake_;
  std::thread thread_;
};

}  // namespace backfill::cli
