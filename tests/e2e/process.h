#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace backfill::e2e {

using namespace std::chrono_literals;

// How a process ended.
struct Exit {
  int code = -1;  // -1: by a signal
  int signal = 0;
  std::string out;
  std::string err;
};

// A real process with its output in files, killed with the object. Used by one thread.
class Process {
 public:
  struct Options {
    std::filesystem::path dir;  // for the output files, and the working directory
    std::map<std::string, std::string> env;
    std::optional<unsigned> max_files;  // RLIMIT_NOFILE
    int terminal = -1;                  // stderr, instead of a file; the caller's
  };
  Process(const std::vector<std::string>& args, const Options& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();
  void Signal(int signal) const;
  // What it has written so far.
  [[nodiscard]] std::string Out() const;
  [[nodiscard]] std::string Err() const;
  // Waits for the end; a process that has not ended by then is killed, and the code is -1, the
  // signal 9.
  Exit Wait(Duration at_most);

 private:
  const std::filesystem::path out_, err_;
  pid_t pid_ = 0;
  std::optional<int> status_;
};

// Processes whose parent is `pid`.
std::vector<pid_t> ChildrenOf(pid_t pid);

std::string ReadFile(const std::filesystem::path& path);
void WriteFile(const std::filesystem::path& path, const std::string& text);

// Asks every 5 ms until it holds; returns how long that took, nothing if it never did.
std::optional<Duration> TimeUntil(Duration at_most, const std::function<bool()>& holds,
                                  Duration every = std::chrono::milliseconds(5));

}  // namespace backfill::e2e
