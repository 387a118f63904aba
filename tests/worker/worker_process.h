#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace backfill::fakes {

// Waits until it is so, at most `within`.
inline bool Eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds within = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// A backfill-worker as a child process, killed at the end of the test if it still lives.
class WorkerProcess {
 public:
  explicit WorkerProcess(std::map<std::string, std::string> environment, int keep_fd = -1) {
    std::vector<std::string> env;
    for (const auto& [name, value] : environment) env.push_back(name + "=" + value);
    std::vector<char*> envp;
    for (std::string& e : env) envp.push_back(e.data());
    envp.push_back(nullptr);
    std::string path = BACKFILL_WORKER_BINARY;
    char* argv[] = {path.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (keep_fd >= 0) posix_spawn_file_actions_adddup2(&actions, keep_fd, 9);
    if (posix_spawn(&pid_, path.c_str(), &actions, nullptr, argv, envp.data()) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
  }
  ~WorkerProcess() {
    if (!status_) {
      Signal(SIGKILL);
      Wait();
    }
  }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  void Signal(int signal) const { ::kill(pid_, signal); }
  [[nodiscard]] bool running() {
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
    return !status_;
  }
  // The exit code, or -signal; nullopt: still running after `within`.
  std::optional<int> ExitCode(std::chrono::milliseconds within = std::chrono::seconds(30)) {
    if (!Eventually([&] { return !running(); }, within)) return std::nullopt;
    return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : -WTERMSIG(*status_);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  void Wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    status_ = status;
  }
  pid_t pid_ = -1;
  std::optional<int> status_;
};

}  // namespace backfill::fakes
