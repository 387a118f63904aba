#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cli/descriptor.h"

// Locks between processes on one machine. The system frees them when their holders die, however
// they die.
namespace backfill::cli {

// Who runs a backfill.
struct RunnerInfo {
  int pid = 0;        // 0: not known yet
  std::string since;  // RFC 3339
};

// The right to run one backfill. At most one process has it.
class RunnerLock {
 public:
  // kConflict: another process has it; the message says who.
  static Result<RunnerLock> Take(const std::filesystem::path& file, WallTime now);

 private:
  explicit RunnerLock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

// Who has it now. Takes nothing, so that looking never stands in a runner's way. nullopt: nobody.
std::optional<RunnerInfo> FindRunner(const std::filesystem::path& file);

// Shared by a runner and its workers, which inherit the descriptor. So it can be had alone only
// when every worker of every earlier runner has ended: also those that outlived a runner that was
// killed.
class WorkersLock {
 public:
  // Waits up to `patience` for the workers of earlier runs. Not having seen them gone is no error.
  static Result<WorkersLock> Take(const std::filesystem::path& file, Duration patience);
  [[nodiscard]] bool predecessors_gone() const { return predecessors_gone_; }
  [[nodiscard]] int fd() const { return file_.get(); }

 private:
  WorkersLock(Descriptor file, bool gone) : file_(std::move(file)), predecessors_gone_(gone) {}
  Descriptor file_;
  bool predecessors_gone_;
};

}  // namespace backfill::cli
