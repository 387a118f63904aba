#include "tests/e2e/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

namespace backfill::e2e {
namespace {

std::string NextName() {
  static std::atomic<int> next{0};
  return "process-" + std::to_string(next++);
}

}  // namespace

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::optional<Duration> TimeUntil(Duration at_most, const std::function<bool()>& holds,
                                  Duration every) {
  const Time start = std::chrono::steady_clock::now();
  while (!holds()) {
    if (std::chrono::steady_clock::now() - start > at_most) return std::nullopt;
    std::this_thread::sleep_for(every);
  }
  return std::chrono::steady_clock::now() - start;
}

Process::Process(const std::vector<std::string>& args, const Options& options)
    : out_(options.dir / (NextName() + ".out")), err_(out_.string() + ".err") {
  std::vector<std::string> copy = args;
  std::vector<char*> argv;
  for (std::string& a : copy) argv.push_back(a.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  // The child: only what may be done between fork and exec in a process with threads, but for
  // setenv before any other exists.
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err = options.terminal >= 0 ? options.terminal
                                        : open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(in, 0), dup2(out, 1), dup2(err, 2);
  closefrom(3);
  if (chdir(options.dir.c_str()) != 0) _exit(126);
  if (options.max_files) {
    const rlimit limit{*options.max_files, *options.max_files};
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  for (const auto& [name, value] : options.env) setenv(name.c_str(), value.c_str(), 1);
  execv(argv[0], argv.data());
  _exit(127);
}

Process::~Process() {
  if (!running()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Process::running() {
  if (status_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = status;
  return false;
}

void Process::Signal(int signal) const {
  if (status_) return;
  kill(pid_, signal);
  // It goes on for a moment.
  siginfo_t stopped;
  if (signal == SIGSTOP)
    waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED | WEXITED | WNOWAIT);
}

std::string Process::Out() const { return ReadFile(out_); }
std::string Process::Err() const { return ReadFile(err_); }

Exit Process::Wait(Duration at_most) {
  if (!TimeUntil(at_most, [this] { return !running(); })) {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    status_ = status;
  }
  Exit exit;
  if (WIFEXITED(*status_)) exit.code = WEXITSTATUS(*status_);
  if (WIFSIGNALED(*status_)) exit.signal = WTERMSIG(*status_);
  exit.out = Out();
  exit.err = Err();
  return exit;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = ReadFile(entry.path() / "stat");  // pid (name) state ppid
    const std::size_t after_name = stat.rfind(')');
    if (after_name == std::string::npos || after_name + 4 > stat.size()) continue;
    if (std::atoi(stat.c_str() + after_name + 4) == pid) children.push_back(std::stoi(name));
  }
  return children;
}

}  // namespace backfill::e2e
