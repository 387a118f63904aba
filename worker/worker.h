#pragma once

#include <memory>

#include "worker/link/session_end.h"
#include "worker/settings.h"

namespace backfill::worker {

// Exit codes of the process.
inline constexpr int kExitDone = 0;          // no more work
inline constexpr int kExitFailed = 1;        // start it again
inline constexpr int kExitRefused = 77;      // the coordinator does not accept its identity
inline constexpr int kExitBadWorkload = 78;  // no restart can heal it
inline constexpr int kExitTerminated = 143;  // SIGTERM, drained

int ExitCodeOf(SessionEnd end);

// A worker from start to end: one loop thread for sockets, engine and protocol, and the link's
// threads beside it.
class Worker {
 public:
  explicit Worker(Settings settings);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs on the calling thread until the work ends, SIGTERM comes, or the runner dies. Returns the
  // exit code, with which the process should end at once: the threads are still there, and to join
  // them can take as long as a name lookup or the network likes. Once.
  int Run();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backfill::worker
