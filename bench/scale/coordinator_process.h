#pragma once

#include <sys/types.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::scale {

// What a process has taken so far.
struct ProcessCost {
  double cpu_seconds = 0;
  double rss_kib = 0;
  double peak_kib = 0;
};
ProcessCost CostOf(pid_t pid);

// A coordinator in a process of its own (coordinator_main.cc), told what to do line by line. It is
// killed with the object, and ends with this process. One thread makes all calls.
class CoordinatorProcess {
 public:
  // Of one line: words and name=value.
  using Answer = std::map<std::string, std::string>;

  explicit CoordinatorProcess(const std::vector<std::string>& args);
  ~CoordinatorProcess();
  CoordinatorProcess(const CoordinatorProcess&) = delete;
  CoordinatorProcess& operator=(const CoordinatorProcess&) = delete;

  // What it says first: `serving` with its address. kUnavailable: it has ended.
  Result<Answer> Read();
  Result<Answer> Ask(const std::string& command);
  void Kill();  // -9, and waits for its end
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  std::FILE* in_ = nullptr;   // of the process
  std::FILE* out_ = nullptr;  // likewise
};

}  // namespace backfill::scale
