#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace backfill::worker {

// What a worker process is told when it is started, through its environment.
struct Settings {
  std::string coordinator;  // a gRPC target
  std::string token;        // secret
  std::string uid;
  std::string stage;   // "run" or "dry-run"
  std::string worker;  // the slot in the pool
  std::string instance;
  std::optional<int> lifeline_fd;  // its end of file means that the runner has died
  std::optional<int> sent_fd;      // of a SentFile, to take note of what is sent
};

// Reads one variable; nullopt: not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;

// kInvalid names the variable that is missing or wrong, never a value. Makes an instance if none is
// given. BACKFILL_ALIVE_LOCK_FD needs no reading: the descriptor stays open until the process ends,
// and that is its meaning.
Result<Settings> ReadSettings(const Environment& environment);

}  // namespace backfill::worker
