#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "worker/plan/plan_worker.h"
#include "worker/settings.h"
#include "worker/worker.h"

namespace {

// Not by returning: all is said and done, and the pool waits for this process to be gone, while
// destructors would join the thread of a lookup or a read that hangs and wait for gRPC's.
[[noreturn]] void End(int exit_code) {
  std::fflush(nullptr);
  std::_Exit(exit_code);
}

}  // namespace

int main() {
  using namespace backfill;
  // NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet.
  // Ctrl-C reaches every process of the terminal; what it means is the runner's to decide.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  const auto settings = worker::ReadSettings([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  });
  // Out of /proc/self/environ, too, and not inherited by anything.
  if (char* token = std::getenv("BACKFILL_TOKEN")) explicit_bzero(token, std::strlen(token));
  unsetenv("BACKFILL_TOKEN");
  // NOLINTEND(concurrency-mt-unsafe)
  if (!settings) {
    Log(LogLevel::kError, "bad environment", {{"error", settings.error().message}});
    return worker::kExitBadWorkload;
  }
  pthread_setname_np(pthread_self(), "loop");
  if (settings->stage == "plan") {
    worker::PlanWorker worker(*settings);
    End(worker.Run());
  }
  worker::Worker worker(*settings);
  End(worker.Run());
}
