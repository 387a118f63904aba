#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "cli/command_line.h"
#include "cli/connect_cluster.h"
#include "cli/exit_code.h"
#include "cli/local_operator.h"
#include "cli/signal_interrupts.h"
#include "operator/kube/sqlite_store.h"

// The only place, with local_operator.cc and connect_cluster.cc, that knows concrete types.
namespace {

using namespace backfill;  // NOLINT: main() speaks of nothing else

std::string_view Variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): there is one thread yet
  return value == nullptr ? "" : value;
}

int TerminalWidth() {
  constexpr int kUsual = 80;
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

std::string UserName() {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return entry.pw_name;
  return "uid " + std::to_string(geteuid());
}

Result<std::unique_ptr<kube::ObjectStore>> OpenStore(const std::filesystem::path& file,
                                                     cli::Access access) {
  kube::SqliteOptions options;
  options.read_only = access == cli::Access::kRead;
  return std::unique_ptr<kube::ObjectStore>(TRY(kube::SqliteStore::Open(file, options)));
}

// It has three names (cli/README.md).
enum class Called { kBackfill, kKubectlPlugin, kKubectlComplete };

Called CalledBy(const char* path) {
  const std::string name = std::filesystem::path(path == nullptr ? "" : path).filename();
  if (name == "kubectl-backfill") return Called::kKubectlPlugin;
  if (name == "kubectl_complete-backfill") return Called::kKubectlComplete;
  return Called::kBackfill;
}

}  // namespace

int main(int argc, char** argv) {
  const Called called = CalledBy(argc > 0 ? argv[0] : nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(concurrency-mt-unsafe): there is one thread yet
  std::ios::sync_with_stdio(false);
  const bool dumb = Variable("TERM") == "dumb" || Variable("TERM").empty();
  const bool colors = !dumb && Variable("NO_COLOR").empty();
  cli::Streams streams{.in = std::cin,
                       .out = std::cout,
                       .err = std::cerr,
                       .live = isatty(STDERR_FILENO) == 1 && !dumb,
                       .color = isatty(STDERR_FILENO) == 1 && colors,
                       .color_out = isatty(STDOUT_FILENO) == 1 && colors,
                       .width = TerminalWidth};
  // Log lines would tear what is drawn in place; what matters is in the status.
  SetLogLevel(streams.live ? LogLevel::kOff : LogLevel::kError);
  const SystemClock clock;
  cli::SignalInterrupts interrupts;
  const cli::Environment env{
      .streams = streams,
      .clock = clock,
      .interrupts = interrupts,
      .open_store = OpenStore,
      .start_operator = cli::StartLocalOperator,
      .user = UserName(),
      .connect =
          [&clock](const cli::ClusterChoice& choice) { return cli::ConnectCluster(choice, clock); },
      .called_as =
          called == Called::kBackfill ? cli::CalledAs::kBackfill : cli::CalledAs::kKubectlPlugin};
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const int code = called == Called::kKubectlComplete ? cli::RunKubectlCompletion(words, env)
                                                      : cli::RunCommandLine(words, env);
  std::cout.flush();
  if (std::cout.good()) return code;
  std::cerr << "error: the result could not be written\n";
  return code == cli::kExitDone ? cli::kExitNotStarted : code;
}
