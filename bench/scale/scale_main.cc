// A coordinator under many simulated workers: bench/README.md.
#include <absl/synchronization/mutex.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "base/log.h"
#include "bench/scale/scale_run.h"

int main(int argc, char** argv) {
  using namespace backfill;
  std::signal(SIGPIPE, SIG_IGN);
  SetLogLevel(LogLevel::kOff);
  scale::RunOptions o;
  o.workers = 1000;
  o.shards = 100'000;
  o.records = 100;
  o.rate = 36'000;
  CLI::App app("A coordinator under many simulated workers.");
  app.add_option("--coordinator", o.coordinator, "scale_coordinator")->required();
  app.add_option("--workers", o.workers);
  app.add_option("--shards", o.shards);
  app.add_option("--records", o.records, "of a shard");
  app.add_option("--rate", o.rate, "records/s");
  app.add_option("--batch", o.batch);
  app.add_option("--messages-per-second", o.messages_per_second);
  app.add_option("--ttl", o.ttl, "of leases, in seconds");
  app.add_flag("!--plain", o.tls, "a unix socket without TLS");
  app.add_flag("--api-server", o.api_server, "the ledger on the API server of $KUBECONFIG");
  app.add_flag("!--no-kill", o.kill);
  int talk = 0;
  std::string peer;
  app.add_option("--talk", talk, "only reports, for so many seconds");
  app.add_option("--peer", peer, "with --talk: a server in the coordinator's place");
  CLI11_PARSE(app, argc, argv);
  // Debian's Abseil looks for deadlocks at each lock; here it would be most of what workers cost.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);  // inherited by the coordinator

  o.progress = [](const std::string& line) { std::cerr << line << std::endl; };
  char directory[] = "/tmp/backfill-scale-XXXXXX";
  o.dir = mkdtemp(directory);
  if (talk > 0) {
    const auto said = scale::RunTalk(o, peer, std::chrono::seconds(talk));
    std::filesystem::remove_all(o.dir);
    if (!said.ok()) {
      std::cerr << said.error().message << "\n";
      return 2;
    }
    std::cout << fmt::format(
        "{}, {} streams, {}: {:.1f} KiB a stream, {:.0f} messages/s, {:.1f} CPU us a message\n",
        peer.empty() ? "coordinator" : "peer", o.workers, o.tls ? "TLS" : "no TLS",
        said->kib_a_stream, said->messages_per_second, said->cpu_us_a_message);
    return 0;
  }
  const auto report = scale::RunScale(o);
  std::filesystem::remove_all(o.dir);
  if (!report.ok()) {
    std::cerr << report.error().message << "\n";
    return 2;
  }
  std::cout << report->ToText(o);
  return report->broken.empty() ? 0 : 1;
}
