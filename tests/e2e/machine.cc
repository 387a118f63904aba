#include "tests/e2e/machine.h"

#include <cstdlib>
#include <thread>

#include "base/digest.h"

namespace backfill::e2e {

std::string ToYaml(const Spec& s, int port) {
  std::string text =
      "apiVersion: backfill.dev/v1alpha1\nkind: Backfill\nmetadata:\n  name: " + s.name +
      "\nspec:\n";
  text += "  source:\n    " +
          (s.source.empty() ? "range: {start: " + std::to_string(s.start) +
                                  ", end: " + std::to_string(s.end) + "}"
                            : s.source) +
          "\n";
  const std::string base =
      (s.https ? "https" : "http") + std::string("://127.0.0.1:") + std::to_string(port);
  text += "  target:\n    http:\n";
  if (!s.path.empty()) {
    text += "      url: " + base + s.path + "\n";
  } else if (s.batch == 1) {
    text += "      url: " + base + "/r/{{key}}\n";
  } else {
    text += "      url: " + base + "/batch\n      body: '{{records}}'\n";
  }
  text += s.http_extra;
  if (s.records_per_shard > 0)
    text += "  sharding: {recordsPerShard: " + std::to_string(s.records_per_shard) + "}\n";
  text += "  workers: {replicas: " + std::to_string(s.replicas) +
          ", concurrency: " + std::to_string(s.concurrency) +
          ", batchSize: " + std::to_string(s.batch) + "}\n";
  if (s.real) text += "  dryRun: false\n  performDisruptiveBackfill: " + s.name + "\n";
  text += "  throttle: {maxRecordsPerSecond: " + std::to_string(s.rate) +
          (s.throttle.empty() ? "" : ", " + s.throttle) + "}\n";
  return text + s.extra;
}

Machine::Machine()
    : dir_(std::filesystem::temp_directory_path() / ("backfill-e2e-" + RandomHex(6))) {
  std::filesystem::create_directories(dir_);
  TargetIs({});
}

Machine::~Machine() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

void Machine::TargetIs(const fakes::SinkOptions& options) {
  sink_.reset();
  sink_ = std::make_unique<fakes::Sink>(options);
  sink_->Start();
}

std::unique_ptr<Process> Machine::Start(std::vector<std::string> args) {
  args.insert(args.begin(), std::string(BACKFILL_BIN_DIR) + "/backfill");
  args.insert(args.end(), {"--state-dir", state().string()});
  return std::make_unique<Process>(args, Process::Options{dir_, env_, max_files_, terminal_});
}

Exit Machine::Command(std::vector<std::string> args, Duration at_most) {
  return Start(std::move(args))->Wait(at_most);
}

nlohmann::json Machine::Status(const std::string& name) {
  const Exit exit = Command({"status", name, "-o", "json"});
  return nlohmann::json::parse(exit.out, nullptr, /*allow_exceptions=*/false);
}

std::string Machine::Phase(const std::string& name) {
  const nlohmann::json object = Status(name);
  return object.is_object() ? object.value("/status/phase"_json_pointer, std::string())
                            : std::string();
}

bool Machine::TargetSees(std::uint64_t requests, Duration at_most) {
  return TimeUntil(at_most, [&] { return sink_->stats().requests >= requests; }).has_value();
}

bool Machine::TargetIsSilentFor(Duration d) {
  const std::uint64_t before = sink_->stats().requests;
  std::this_thread::sleep_for(d);
  return sink_->stats().requests == before;
}

}  // namespace backfill::e2e
