#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace backfill::worker {

// What a worker process is told when it is started, through its environment.
struct Settings {
  std::string coordinator;  // a gRPC target
  std::string token;        // secret; or
  std::string token_file;   // where it is, read anew for each stream
  std::string ca_file;      // whom to trust, PEM; empty: no TLS, which only this machine may do
  std::string server_name;  // in its certificate; empty: as it is dialled
  std::string uid;
  std::string stage;   // "run", "dry-run" or "plan"
  std::string worker;  // the slot in the pool
  std::string instance;
  std::string ns, name;            // of the Backfill, for the log; may be empty
  std::optional<int> lifeline_fd;  // its end of file means that the runner has died
  std::optional<int> sent_fd;      // of a SentFile, to take note of what is sent
};

// Which pod of which of its stage's Jobs a worker is: "run-502" is index 2 of Job 1. A Job has 500
// at most.
inline constexpr int kIndexesPerPool = 500;

// Reads one variable; nullopt: not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;

// kInvalid names the variable that is missing or wrong, never a value. Makes an instance if none is
// given. BACKFILL_ALIVE_LOCK_FD needs no reading: the descriptor stays open until the process ends,
// and that is its meaning.
Result<Settings> ReadSettings(const Environment& environment);

}  // namespace backfill::worker
