#include "cli/signal_interrupts.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <optional>

#include "cli/exit_code.h"

namespace backfill::cli {

SignalInterrupts::SignalInterrupts(Duration same_request)
    : same_request_(same_request), wake_(eventfd(0, EFD_CLOEXEC)) {
  sigemptyset(&taken_);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&taken_, signal);
  // Ignored for us by nohup: then the end of the terminal is not a request.
  struct sigaction hangup{};
  if (sigaction(SIGHUP, nullptr, &hangup) != 0 || hangup.sa_handler != SIG_IGN)
    sigaddset(&taken_, SIGHUP);
}

void SignalInterrupts::Listen(std::function<void()> first, std::function<void()> second) {
  pthread_sigmask(SIG_BLOCK, &taken_, &before_);
  thread_ = std::thread([this, first = std::move(first), second = std::move(second)] {
    pthread_setname_np(pthread_self(), "signals");
    Take(first, second);
  });
}

void SignalInterrupts::Take(const std::function<void()>& first,
                            const std::function<void()>& second) const {
  const Descriptor signals(signalfd(-1, &taken_, SFD_CLOEXEC));
  std::array<pollfd, 2> ready{{{signals.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
  std::optional<Time> asked;
  for (;;) {
    if (poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
    if ((ready[1].revents & POLLIN) != 0) return;
    signalfd_siginfo info{};
    if ((ready[0].revents & POLLIN) == 0 || read(signals.get(), &info, sizeof info) != sizeof info)
      continue;
    const Time now = std::chrono::steady_clock::now();
    if (!asked) {
      asked = now;
      first();
    } else if (now - *asked >= same_request_) {
      second();
      _exit(kExitKilled);  // at once: destructors would wait for what is not wanted any more
    }
  }
}

void SignalInterrupts::Ignore() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  if (write(wake_.get(), &one, sizeof one) != sizeof one) std::abort();  // an eventfd takes it
  thread_.join();
  // What came too late asks for what happens anyway; it must not end the process by its default
  // action.
  const timespec at_once{};
  while (sigtimedwait(&taken_, nullptr, &at_once) > 0) continue;
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace backfill::cli
