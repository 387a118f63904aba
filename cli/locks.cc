#include "cli/locks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <thread>

#include "cli/terminal_text.h"

namespace backfill::cli {
namespace {

using namespace std::chrono_literals;

std::string Why(int error) { return std::generic_category().message(error); }

// Close-on-exec: who else shall have it is given it on purpose.
Result<Descriptor> OpenLock(const std::filesystem::path& file) {
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0) return Descriptor(fd);
  return Error{ErrorCode::kUnavailable,
               fmt::format("cannot open {}: {}", Printable(file.string()), Why(errno))};
}

// A lock of the open file, like flock's, but one that can be looked at without taking it.
struct flock WholeFile(short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::optional<RunnerInfo> ReadRunner(int fd) {
  std::array<char, 64> text{};
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  if (n <= 0) return RunnerInfo{};
  const std::string_view line(text.data(), static_cast<std::size_t>(n));
  RunnerInfo info;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), info.pid);
  if (error != std::errc()) return RunnerInfo{};
  std::string_view rest = line.substr(static_cast<std::size_t>(end - line.data()));
  if (rest.starts_with(' ')) rest.remove_prefix(1);
  info.since = Printable(rest.substr(0, rest.find('\n')));
  return info;
}

}  // namespace

Result<RunnerLock> RunnerLock::Take(const std::filesystem::path& file, WallTime now) {
  Descriptor lock_file = TRY(OpenLock(file));
  struct flock lock = WholeFile(F_WRLCK);
  if (fcntl(lock_file.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) {
      return Error{ErrorCode::kUnavailable,
                   fmt::format("cannot lock {}: {}", Printable(file.string()), Why(errno))};
    }
    const RunnerInfo other = FindRunner(file).value_or(RunnerInfo{});
    if (other.pid == 0) return Error{ErrorCode::kConflict, "is run by another process"};
    return Error{ErrorCode::kConflict,
                 fmt::format("is run by process {} since {}", other.pid, other.since)};
  }
  // For people only: who reads it while it is written sees a runner without a number.
  const std::string line = fmt::format("{} {}\n", getpid(), FormatWallTime(now));
  if (ftruncate(lock_file.get(), 0) != 0 ||
      pwrite(lock_file.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("cannot write {}: {}", Printable(file.string()), Why(errno))};
  }
  return RunnerLock(std::move(lock_file));
}

std::optional<RunnerInfo> FindRunner(const std::filesystem::path& file) {
  const Descriptor lock_file(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (lock_file.get() < 0) return std::nullopt;
  struct flock lock = WholeFile(F_RDLCK);
  if (fcntl(lock_file.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
    return std::nullopt;
  return ReadRunner(lock_file.get());
}

Result<WorkersLock> WorkersLock::Take(const std::filesystem::path& file, Duration patience) {
  Descriptor lock_file = TRY(OpenLock(file));
  const auto give_up = std::chrono::steady_clock::now() + patience;
  bool alone = flock(lock_file.get(), LOCK_EX | LOCK_NB) == 0;
  while (!alone && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(20ms);
    alone = flock(lock_file.get(), LOCK_EX | LOCK_NB) == 0;
  }
  // Not atomic, but nobody else takes it meanwhile: only who has the runner's lock does.
  if (flock(lock_file.get(), LOCK_SH | LOCK_NB) != 0) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("cannot lock {}: {}", Printable(file.string()), Why(errno))};
  }
  return WorkersLock(std::move(lock_file), alone);
}

}  // namespace backfill::cli
