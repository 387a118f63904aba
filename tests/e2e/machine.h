#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/e2e/process.h"
#include "tests/worker/sink.h"

namespace backfill::e2e {

// What goes into a Backfill file of these tests; everything else is the default.
struct Spec {
  std::string name = "touch";
  std::int64_t start = 0, end = 1000;
  bool real = true;
  int rate = 1'000'000;
  int replicas = 2, concurrency = 8, batch = 1;
  int records_per_shard = 0;  // 0: chosen
  std::string throttle{};     // more fields of spec.throttle, as in a flow map
  bool https = false;
  std::string source{};      // instead of the range, as in spec.source
  std::string path{};        // of the url, instead of /r/{{key}}
  std::string extra{};       // more lines under spec, indented by two blanks
  std::string http_extra{};  // more lines under spec.target.http, indented by six
};
std::string ToYaml(const Spec& spec, int port);

// One machine with a state directory, a target that counts, and the real binaries. Every command is
// a real process.
class Machine : public testing::Test {
 protected:
  Machine();
  ~Machine() override;

  // The target is up before any command; `options` as for the sink.
  void TargetIs(const fakes::SinkOptions& options);

  void WriteSpec(const Spec& spec) { WriteFile(file(), ToYaml(spec, sink_->port())); }
  [[nodiscard]] std::filesystem::path file() const { return dir_ / "backfill.yaml"; }
  [[nodiscard]] std::filesystem::path state() const { return dir_ / "state"; }

  // Starts `backfill ARGS... --state-dir STATE`.
  std::unique_ptr<Process> Start(std::vector<std::string> args);
  std::unique_ptr<Process> StartRun() {
    return Start({"run", "-f", file().string(), "--no-progress"});
  }
  // Runs it to its end.
  Exit Command(std::vector<std::string> args, Duration at_most = 60s);
  Exit Run(Duration at_most = 60s) {
    return Command({"run", "-f", file().string(), "--no-progress"}, at_most);
  }

  // `backfill status NAME -o json`, parsed.
  nlohmann::json Status(const std::string& name = "touch");
  std::string Phase(const std::string& name = "touch");

  // Waits until the target has seen that many requests.
  bool TargetSees(std::uint64_t requests, Duration at_most = 60s);
  // Whether the target stays silent for that long from now on.
  bool TargetIsSilentFor(Duration d);

  std::map<std::string, std::string> env_;
  std::optional<unsigned> max_files_;
  int terminal_ = -1;  // where commands have their stderr; -1: a file
  const std::filesystem::path dir_;
  std::unique_ptr<fakes::Sink> sink_;
};

}  // namespace backfill::e2e
