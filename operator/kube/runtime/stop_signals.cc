#include "operator/kube/runtime/stop_signals.h"

#include <pthread.h>

#include <chrono>
#include <cstdlib>
#include <optional>

#include "base/clock.h"
#include "base/log.h"

namespace backfill::kube {
namespace {

// `timeout` and other wrappers signal a process and then its group, and mean it once.
constexpr Duration kSameRequest = std::chrono::milliseconds(250);

}  // namespace

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  thread_ = std::jthread([this] { Take(); });
}

StopSignals::~StopSignals() {
  over_ = true;
  // To that thread alone, which may still wait for one.
  pthread_kill(thread_.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  thread_.join();
}

void StopSignals::Take() {
  pthread_setname_np(pthread_self(), "signals");
  const SystemClock clock;
  std::optional<Time> asked;
  while (true) {
    int signal = 0;
    if (sigwait(&signals_, &signal) != 0) continue;
    if (over_) return;
    if (asked) {
      if (clock.Steady() - *asked >= kSameRequest) std::_Exit(1);
      continue;
    }
    asked = clock.Steady();
    Log(LogLevel::kInfo, "stopping, as asked", {{"signal", signal == SIGINT ? "INT" : "TERM"}});
    stop_.request_stop();
  }
}

int RunUntilStopped(const std::function<Status(const std::stop_token& stop)>& run) {
  const StopSignals signals;
  const Status ended = run(signals.token());
  if (!ended.ok()) Log(LogLevel::kError, "ended by an error", {{"error", ended.error().message}});
  return ended.ok() ? 0 : 1;
}

}  // namespace backfill::kube
