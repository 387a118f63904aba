#include "operator/kube/client/child_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

extern char** environ;  // NOLINT: POSIX names it

namespace backfill::kube {
namespace {

// How soon a stop is seen.
constexpr int kLookMs = 20;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

// Ends with all that it has started, at the latest when this does.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (reaped_) return;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] bool HasEnded() {
    if (reaped_ || ::waitpid(pid_, &status_, WNOHANG) != pid_) return reaped_;
    reaped_ = true;
    ::kill(-pid_, SIGKILL);  // what it has left behind
    return true;
  }
  [[nodiscard]] int status() const { return status_; }

 private:
  const pid_t pid_;
  int status_ = 0;
  bool reaped_ = false;
};

std::vector<std::string> EnvironmentWith(const std::map<std::string, std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!added.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

Result<pid_t> Spawn(const ChildCommand& command, int output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setpgroup(&attributes, 0);  // a group of its own
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> arguments = {command.program};
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  std::vector<std::string> environment = EnvironmentWith(command.environment);
  pid_t pid = 0;
  const int problem = ::posix_spawnp(&pid, command.program.c_str(), &files, &attributes,
                                     Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (problem == 0) return pid;
  return Error{problem == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
               std::generic_category().message(problem)};
}

}  // namespace

Result<std::string> OutputOf(const ChildCommand& command, Time deadline, std::stop_token stop) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return Error{ErrorCode::kUnavailable, std::generic_category().message(errno)};
  Fd in(ends[0]);
  Fd out(ends[1]);
  Child child(TRY(Spawn(command, out.get())));
  out.Close();
  std::string text;
  bool open = true;
  while (open || !child.HasEnded()) {
    if (stop.stop_requested()) return Error{ErrorCode::kAborted, "stopped"};
    if (std::chrono::steady_clock::now() >= deadline)
      return Error{ErrorCode::kDeadline, "did not end in time"};
    if (!open) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    // Another that it has started may hold the other end for ever.
    if (child.HasEnded()) ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
    pollfd ready{.fd = in.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, kLookMs) <= 0) {
      if (child.HasEnded()) open = false;
      continue;
    }
    char buffer[16 << 10];
    const ssize_t n = ::read(in.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      open = false;
      continue;
    }
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > command.max_output_bytes)
      return Error{ErrorCode::kInvalid,
                   fmt::format("wrote more than {} bytes", command.max_output_bytes)};
  }
  if (WIFEXITED(child.status()) && WEXITSTATUS(child.status()) == 0) return text;
  return Error{ErrorCode::kUnavailable,
               WIFEXITED(child.status())
                   ? fmt::format("ended with {}", WEXITSTATUS(child.status()))
                   : fmt::format("was ended by signal {}", WTERMSIG(child.status()))};
}

}  // namespace backfill::kube
