#include "cli/file_limit.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace backfill::cli {

std::uint64_t FilesNeeded(int workers, int concurrency) {
  constexpr std::uint64_t kBase = 64;      // databases, sockets, event queues, logs
  constexpr std::uint64_t kPerWorker = 4;  // its stream, its lifeline, and what starting it takes
  const auto count = [](int n) { return static_cast<std::uint64_t>(std::max(0, n)); };
  const std::uint64_t runner = kBase + kPerWorker * count(workers);
  const std::uint64_t worker = kBase + count(concurrency);
  return std::max(runner, worker);
}

Status RaiseFileLimit(std::uint64_t needed) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Error{ErrorCode::kInternal,
                 "cannot read the limit of open files: " + std::generic_category().message(errno)};
  }
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur >= needed) return Ok{};
  return Error{ErrorCode::kInvalid,
               fmt::format("this needs up to {} open files in one process, the limit is {}: raise "
                           "it (ulimit -n {}), or lower "
                           "workers.replicas and workers.concurrency",
                           needed, limit.rlim_cur, needed)};
}

}  // namespace backfill::cli
