#include "bench/scale/coordinator_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace backfill::scale {

ProcessCost CostOf(pid_t pid) {
  ProcessCost cost;
  const std::string proc = "/proc/" + std::to_string(pid);
  std::ifstream stat(proc + "/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  if (const auto end = text.rfind(')'); end != std::string::npos) {
    std::istringstream fields(text.substr(end + 1));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;  // state .. cmajflt
    double user = 0, system = 0;
    fields >> user >> system;
    cost.cpu_seconds = (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  std::ifstream status(proc + "/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    double kib = 0;
    words >> name >> kib;
    if (name == "VmRSS:") cost.rss_kib = kib;
    if (name == "VmHWM:") cost.peak_kib = kib;
  }
  return cost;
}

CoordinatorProcess::CoordinatorProcess(const std::vector<std::string>& args) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) std::abort();
  std::vector<char*> argv;
  argv.reserve(args.size() + 1);
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));  // NOLINT
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  in_ = fdopen(to[1], "w");
  out_ = fdopen(from[0], "r");
}

CoordinatorProcess::~CoordinatorProcess() {
  Kill();
  std::fclose(in_);
  std::fclose(out_);
}

Result<CoordinatorProcess::Answer> CoordinatorProcess::Read() {
  char* line = nullptr;
  std::size_t size = 0;
  if (getline(&line, &size, out_) < 0) {
    std::free(line);  // NOLINT: getline's
    return Error{ErrorCode::kUnavailable, "the coordinator has ended"};
  }
  std::istringstream words(line);
  std::free(line);  // NOLINT: getline's
  Answer answer;
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    answer[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  return answer;
}

Result<CoordinatorProcess::Answer> CoordinatorProcess::Ask(const std::string& command) {
  std::fputs((command + "\n").c_str(), in_);
  std::fflush(in_);
  return Read();
}

void CoordinatorProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace backfill::scale
