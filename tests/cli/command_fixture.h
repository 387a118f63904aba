#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/environment.h"
#include "operator/api/backfill.h"
#include "operator/api/decode.h"
#include "operator/kube/sqlite_store.h"
#include "tests/cli/fake_operator.h"
#include "tests/cli/samples.h"
#include "tests/cli/temp_dir.h"

namespace backfill::cli {

// Nobody asks for anything until the test does.
class FakeInterrupts final : public Interrupts {
 public:
  void Listen(std::function<void()> first, std::function<void()> second) override {
    first_ = std::move(first);
    second_ = std::move(second);
  }
  void Ignore() override { listening = false; }
  void Ask() { first_(); }
  void Insist() { second_(); }
  bool listening = true;

 private:
  std::function<void()> first_, second_;
};

// Runs whole commands over a SQLite file in a directory of its own.
class CommandFixture : public testing::Test {
 protected:
  static constexpr char kRealRun[] = R"(apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: reprice}
spec:
  source: {range: {start: 0, end: 10000}}
  target: {http: {url: "http://127.0.0.1:1/r/{{key}}", method: POST}}
  dryRun: false
  performDisruptiveBackfill: reprice
  throttle: {maxRecordsPerSecond: 500}
)";

  CommandFixture() { WriteFile(kRealRun); }

  void WriteFile(const std::string& text) { std::ofstream(file()) << text; }
  [[nodiscard]] std::string file() const { return (dir_ / "reprice.yaml").string(); }
  [[nodiscard]] std::string state_dir() const { return (dir_ / "state").string(); }

  // The command with --state-dir; what it printed is in out() and err(), with the directory's name
  // cut.
  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    if (arguments.front() != "lint" && arguments.front() != "plan") {
      arguments.insert(arguments.end(), {"--state-dir", state_dir()});
    }
    return RunCommandLine(arguments, env_);
  }
  [[nodiscard]] std::string out() const { return WithoutDirectory(out_.str()); }
  [[nodiscard]] std::string err() const { return WithoutDirectory(err_.str()); }

  kube::ObjectStore& store() {
    if (!store_) {
      std::filesystem::create_directories(state_dir());
      store_ = kube::SqliteStore::Open(dir_ / "state/backfill.db").value();
    }
    return *store_;
  }
  // As if it had been run: the object is there, with a status.
  void Store(const api::Backfill& backfill) {
    kube::Object object = api::ToObject(backfill);
    object = store().Create(object, kube::Durability::kProcess).value();
    api::Backfill created = api::FromObject(object).value();
    created.status = backfill.status;
    created.status.observed_generation = created.generation;
    ASSERT_TRUE(store().UpdateStatus(api::ToObject(created), kube::Durability::kProcess).ok());
  }
  api::Backfill Stored(const std::string& name = "reprice", const std::string& ns = "default") {
    return api::FromObject(store().Get({"Backfill", ns, name}).value()).value();
  }
  api::Backfill FromFile() {
    std::ifstream in(file());
    std::stringstream text;
    text << in.rdbuf();
    api::Backfill backfill = *api::DecodeBackfill(text.str(), "reprice.yaml").backfill;
    backfill.ns = "default";
    return backfill;
  }
  // The file's backfill with the status that a sample has.
  api::Backfill FileIn(api::Phase phase) {
    api::Backfill backfill = FromFile();
    backfill.status = SampleIn(phase).status;
    return backfill;
  }

  std::string WithoutDirectory(std::string text) const {
    const std::string path = dir_.path().string();
    for (std::size_t at = text.find(path); at != std::string::npos; at = text.find(path))
      text.replace(at, path.size(), "DIR");
    return text;
  }

  TempDir dir_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  Streams streams_{.in = in_, .out = out_, .err = err_, .width = {}};
  SystemClock clock_;
  FakeInterrupts interrupts_;
  std::unique_ptr<kube::SqliteStore> store_;
  std::deque<FakeOperator::Played> script_;
  OperatorLog log_;
  std::optional<OperatorSettings> settings_;  // of the operator that was started
  std::optional<Error> start_error_;
  Environment env_{
      .streams = streams_,
      .clock = clock_,
      .interrupts = interrupts_,
      .open_store = [](const std::filesystem::path& file,
                       Access access) -> Result<std::unique_ptr<kube::ObjectStore>> {
        kube::SqliteOptions options;
        options.read_only = access == Access::kRead;
        return std::unique_ptr<kube::ObjectStore>(TRY(kube::SqliteStore::Open(file, options)));
      },
      .start_operator = [this](kube::ObjectStore& store, const OperatorSettings& settings)
          -> Result<std::unique_ptr<Operator>> {
        settings_ = settings;
        if (start_error_) return *start_error_;
        return std::unique_ptr<Operator>(std::make_unique<FakeOperator>(store, script_, log_));
      },
      .user = "ann"};
};

}  // namespace backfill::cli
