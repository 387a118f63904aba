#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "worker/settings.h"
#include "worker/worker.h"

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
  worker::Worker worker(*settings);
  const int exit_code = worker.Run();
  // Not by returning: all is said and done, and the pool waits for this process to be gone, while
  // destructors would join the thread of a lookup that hangs and wait for gRPC's.
  std::fflush(nullptr);
  std::_Exit(exit_code);
}
