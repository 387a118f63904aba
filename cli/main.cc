#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "cli/command_line.h"
#include "cli/exit_code.h"
#include "cli/local_operator.h"
#include "cli/signal_interrupts.h"
#include "operator/kube/sqlite_store.h"

// The only place, with local_operator.cc, that knows concrete types.
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

}  // namespace

int main(int argc, char** argv) {
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
  const cli::Environment env{.streams = streams,
                             .clock = clock,
                             .interrupts = interrupts,
                             .open_store = OpenStore,
                             .start_operator = cli::StartLocalOperator,
                             .user = UserName()};
  const int code = cli::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), env);
  std::cout.flush();
  if (std::cout.good()) return code;
  std::cerr << "error: the result could not be written\n";
  return code == cli::kExitDone ? cli::kExitNotStarted : code;
}
