// The worker as a process, against a coordinator over real gRPC and a target over real TCP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/worker/fake_coordinator.h"
#include "tests/worker/sink.h"
#include "tests/worker/worker_process.h"

namespace backfill::fakes {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WorkerProcessTest : public ::testing::Test {
 protected:
  static v1::HttpRequestTemplate Request(int port, const std::string& method,
                                         const std::string& path, const std::string& body = "") {
    v1::HttpRequestTemplate t;
    t.set_method(method);
    t.set_url("http://127.0.0.1:" + std::to_string(port) + path);
    t.set_body(body);
    t.set_timeout_ms(2000);
    return t;
  }

  // `records` in shards of `per_shard`.
  void Prepare(std::uint64_t records, std::uint64_t per_shard) {
    sink_ = std::make_unique<Sink>(SinkOptions{.bitmap = records});
    sink_->Start();
    v1::Workload& w = options_.workload;
    w.set_backfill_name("reprice");
    w.set_backfill_uid("uid-1");
    w.mutable_source()->mutable_range();
    w.set_batch_size(1);
    *w.mutable_run_http()->mutable_request() =
        Request(sink_->port(), "POST", "/r/{{key}}", "{{record}}");
    for (std::uint64_t at = 0; at < records; at += per_shard) {
      options_.shards.push_back(
          {static_cast<Position>(at), static_cast<Position>(std::min(at + per_shard, records))});
    }
  }
  void StartCoordinator() { coordinator_ = std::make_unique<FakeCoordinator>(options_); }

  std::map<std::string, std::string> Environment(const std::string& instance = "i0") const {
    return {{"BACKFILL_COORDINATOR", coordinator_->address()},
            {"BACKFILL_TOKEN", options_.token},
            {"BACKFILL_UID", "uid-1"},
            {"BACKFILL_STAGE", stage_},
            {"BACKFILL_WORKER", "run-0"},
            {"BACKFILL_INSTANCE", instance}};
  }

  FakeCoordinatorOptions options_;
  std::string stage_ = "run";
  std::unique_ptr<Sink> sink_;
  std::unique_ptr<FakeCoordinator> coordinator_;
};

TEST_F(WorkerProcessTest, DoesAllRecordsOnceAndExitsWithZero) {
  Prepare(20'000, 3'000);
  StartCoordinator();
  WorkerProcess worker(Environment());
  EXPECT_EQ(worker.ExitCode(), 0);
  EXPECT_EQ(coordinator_->records_done(), 20'000u);
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(sink_->stats().duplicates, 0u);
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

TEST_F(WorkerProcessTest, SendsBatches) {
  Prepare(20'050, 3'000);
  options_.workload.set_batch_size(100);
  *options_.workload.mutable_run_http()->mutable_request() =
      Request(sink_->port(), "POST", "/batch", "{{records}}");
  StartCoordinator();
  WorkerProcess worker(Environment());
  EXPECT_EQ(worker.ExitCode(), 0);
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(sink_->stats().duplicates, 0u);
  EXPECT_EQ(sink_->stats().requests, 201u);
}

TEST_F(WorkerProcessTest, RetriesWhatTheTargetRefusesForNow) {
  Prepare(2'000, 500);
  options_.attempts = 10;
  options_.retry_budget_percent = 100;
  StartCoordinator();
  sink_->SetFailEvery(10);
  WorkerProcess worker(Environment());
  EXPECT_EQ(worker.ExitCode(60s), 0);
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(sink_->stats().duplicates, 0u);
  EXPECT_THAT(coordinator_->failures(), IsEmpty());
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

}  // namespace
}  // namespace backfill::fakes
