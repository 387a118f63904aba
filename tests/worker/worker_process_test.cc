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

TEST_F(WorkerProcessTest, ATargetThatRefusesMostIsLeftAloneAndEveryRecordIsRightInTheEnd) {
  Prepare(6'000, 6'000);
  options_.records_per_second = 2'000;
  options_.burst = 50;
  options_.attempts = 100;
  options_.retry_budget_percent = 100;
  sink_->SetCapacity(200);
  StartCoordinator();
  WorkerProcess worker(Environment());
  std::this_thread::sleep_for(4s);
  EXPECT_LT(sink_->stats().requests, 4'500u) << "8,000 were granted";
  EXPECT_GT(coordinator_->held_back().by_refusals(), 0.5);
  sink_->SetCapacity(0);
  EXPECT_EQ(worker.ExitCode(60s), 0);
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(sink_->stats().duplicates, 0u);
  EXPECT_THAT(coordinator_->failures(), IsEmpty());
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

TEST_F(WorkerProcessTest, ReportsRecordsThatFail) {
  Prepare(1'000, 300);
  options_.workload.mutable_run_http()->mutable_outcomes()->add_permanent(200);
  StartCoordinator();
  WorkerProcess worker(Environment());
  EXPECT_EQ(worker.ExitCode(), 0);
  EXPECT_THAT(coordinator_->failures(), SizeIs(1'000));
  EXPECT_EQ(coordinator_->failures().at(7).message(), "HTTP 200");
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

TEST_F(WorkerProcessTest, SurvivesStreamsThatDropAndLeadersThatChange) {
  Prepare(30'000, 5'000);
  options_.records_per_second = 20'000;
  options_.burst = 500;
  StartCoordinator();
  WorkerProcess worker(Environment());
  for (int i = 0; i < 8 && worker.running(); ++i) {
    std::this_thread::sleep_for(150ms);
    if (i % 2 == 0) {
      coordinator_->DropStreams();
    } else {
      coordinator_->NewEpoch();
    }
  }
  EXPECT_EQ(worker.ExitCode(60s), 0);
  EXPECT_GE(coordinator_->hellos().size(), 4u);
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(sink_->stats().duplicates, 0u) << "it kept its leases and its place";
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

TEST_F(WorkerProcessTest, AKilledWorkerCostsNoRecordAndABoundedNumberTwice) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 20'000;
  options_.burst = 500;
  StartCoordinator();
  {
    WorkerProcess worker(Environment("i1"));
    ASSERT_TRUE(Eventually([&] { return coordinator_->records_done() > 20'000; }));
    worker.Signal(SIGKILL);
    EXPECT_EQ(worker.ExitCode(), -SIGKILL);
  }
  for (std::int32_t shard = 0; shard < 2; ++shard)
    coordinator_->Revoke(shard);  // given to whoever comes
  WorkerProcess next(Environment("i2"));
  EXPECT_EQ(next.ExitCode(60s), 0);
  EXPECT_EQ(sink_->stats().missing, 0u);
  // What was sent since the last report that arrived: one may have been on its way.
  const double seconds = 2 * options_.report_period_ms / 1000.0;
  EXPECT_LE(static_cast<double>(sink_->stats().duplicates),
            options_.records_per_second * seconds + options_.burst + options_.concurrency);
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

TEST_F(WorkerProcessTest, StopsSendingAtTheFenceWhenNoAnswersComeAndGoesOnAfterwards) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 5'000;
  options_.burst = 100;
  options_.fence_ms = 700;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return sink_->stats().records > 1'000; }));
  coordinator_->HoldAnswers(true);
  std::this_thread::sleep_for(1s);
  const auto sent = sink_->stats().records;
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(sink_->stats().records, sent) << "more than the fence has passed since an answer";
  coordinator_->HoldAnswers(false);
  for (std::int32_t shard = 0; shard < 2; ++shard) coordinator_->Revoke(shard);
  EXPECT_TRUE(Eventually([&] { return sink_->stats().records > sent + 500; }));
}

TEST_F(WorkerProcessTest, StopsSendingWhenItsGrantExpires) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 5'000;
  options_.burst = 100;
  options_.grant_valid_ms = 600;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return sink_->stats().records > 1'000; }));
  coordinator_->HoldAnswers(true);
  std::this_thread::sleep_for(900ms);
  const auto sent = sink_->stats().records;
  std::this_thread::sleep_for(400ms);
  EXPECT_EQ(sink_->stats().records, sent);
}

TEST_F(WorkerProcessTest, KeepsToItsRateAndToChangesOfIt) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 1'000;
  options_.burst = 100;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return sink_->stats().records > 100; }));
  const auto rate = [&] {
    const auto before = sink_->stats().records;
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(2s);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return static_cast<double>(sink_->stats().records - before) / took.count();
  };
  // A busy machine may let it have less, never more.
  const auto is_about = [&rate](double wanted) {
    const double got = rate();
    EXPECT_LE(got, 1.06 * wanted);
    EXPECT_GE(got, 0.6 * wanted);
  };
  is_about(1'000);
  coordinator_->SetRate(2'000, 100);
  std::this_thread::sleep_for(200ms);
  is_about(2'000);
  coordinator_->SetRate(0, 0);
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(rate(), 0);
}

TEST_F(WorkerProcessTest, PausesAtOnce) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 5'000;
  options_.burst = 100;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return sink_->stats().records > 500; }));
  coordinator_->SetPaused(true);
  std::this_thread::sleep_for(200ms);
  const auto sent = sink_->stats().records;
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(sink_->stats().records, sent);
  coordinator_->SetPaused(false);
  EXPECT_TRUE(Eventually([&] { return sink_->stats().records > sent + 500; }));
}

TEST_F(WorkerProcessTest, GivesTheTailOfAShardAway) {
  Prepare(50'000, 50'000);
  options_.records_per_second = 5'000;
  options_.burst = 100;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return coordinator_->records_done() > 500; }));
  coordinator_->Shrink(0, 5'000);
  EXPECT_EQ(worker.ExitCode(), 0);
  EXPECT_EQ(coordinator_->records_done(), 5'000u);
  EXPECT_EQ(sink_->stats().records, 5'000u);
}

TEST_F(WorkerProcessTest, TerminationDrainsAndGivesLeasesBack) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 2'000;
  options_.burst = 100;
  StartCoordinator();
  sink_->SetLatency(50ms);
  WorkerProcess worker(Environment("i1"));
  ASSERT_TRUE(Eventually([&] { return coordinator_->records_done() > 100; }));
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.ExitCode(1s), 143);
  EXPECT_EQ(coordinator_->drained(), 1);
  for (const auto& shard : coordinator_->shards()) EXPECT_EQ(shard.holder, "");
  EXPECT_EQ(coordinator_->records_done(), sink_->stats().records)
      << "everything that was sent is accounted for";
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

TEST_F(WorkerProcessTest, ALookupThatHangsDoesNotHoldUpItsEnd) {
  Prepare(1'000, 1'000);
  options_.workload.mutable_run_http()->mutable_request()->set_url("http://orders/r/{{key}}");
  options_.workload.mutable_run_http()->mutable_request()->set_timeout_ms(30'000);
  StartCoordinator();
  auto environment = Environment();
  environment["LD_PRELOAD"] = BACKFILL_HANGING_RESOLVER;
  environment["ASAN_OPTIONS"] = "verify_asan_link_order=0";
  WorkerProcess worker(environment);
  ASSERT_TRUE(Eventually([&] {
    const auto shards = coordinator_->shards();
    return !shards.empty() && shards[0].in_flight > 0;
  })) << "it waits for the lookup";
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.ExitCode(1s), 143);
  EXPECT_EQ(coordinator_->drained(), 1);
  EXPECT_EQ(coordinator_->shards()[0].holder, "") << "given back: nothing of it had been written";
}

TEST_F(WorkerProcessTest, AShortDryRunEndsAtOnceWhenItIsAskedTo) {
  Prepare(1'000'000, 10'000);
  stage_ = "dry-run";
  const v1::HttpRequestTemplate sample = options_.workload.run_http().request();
  *options_.workload.mutable_dry_run_http()->mutable_sample() = sample;
  options_.records_per_second = 1'000;
  options_.burst = 100;
  StartCoordinator();
  for (std::size_t i = 0; i < 20; ++i) {
    WorkerProcess worker(Environment("i" + std::to_string(i)));
    ASSERT_TRUE(Eventually([&] { return coordinator_->hellos().size() > i; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(i * 7));
    worker.Signal(SIGTERM);
    ASSERT_EQ(worker.ExitCode(1s), 143) << "after " << i * 7 << " ms";
  }
}

TEST_F(WorkerProcessTest, ADryRunGoesOnWithTheGrantsOfItsNextStream) {
  Prepare(100'000, 50'000);
  stage_ = "dry-run";
  const v1::HttpRequestTemplate sample = options_.workload.run_http().request();
  *options_.workload.mutable_dry_run_http()->mutable_sample() = sample;
  options_.records_per_second = 2'000;
  options_.burst = 100;
  options_.grant_valid_ms = 400;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return coordinator_->records_done() > 2'000; }));
  coordinator_->DropStreams();
  ASSERT_TRUE(Eventually([&] { return coordinator_->hellos().size() > 1; }));
  std::this_thread::sleep_for(500ms);  // the last grant of the old stream has expired
  const auto before = coordinator_->records_done();
  EXPECT_TRUE(Eventually([&] { return coordinator_->records_done() > before + 200; }, 1s));
}

TEST_F(WorkerProcessTest, IgnoresCtrlC) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 1'000;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return coordinator_->records_done() > 10; }));
  worker.Signal(SIGINT);
  const auto before = sink_->stats().records;
  EXPECT_TRUE(Eventually([&] { return sink_->stats().records > before + 200; }));
}

TEST_F(WorkerProcessTest, DiesWithItsRunner) {
  Prepare(100'000, 50'000);
  options_.records_per_second = 1'000;
  options_.burst = 100;
  StartCoordinator();
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  auto environment = Environment();
  environment["BACKFILL_LIFELINE_FD"] = "9";
  WorkerProcess worker(environment, pipe_fds[0]);
  ASSERT_TRUE(Eventually([&] { return coordinator_->records_done() > 10; }));
  ::close(pipe_fds[1]);
  EXPECT_EQ(worker.ExitCode(2s), 1);
  ::close(pipe_fds[0]);
}

TEST_F(WorkerProcessTest, TriesForEverWhenTheCoordinatorIsNotThere) {
  Prepare(10, 10);
  StartCoordinator();
  auto environment = Environment();
  environment["BACKFILL_COORDINATOR"] = "unix:/tmp/backfill-test-nobody-listens-here";
  WorkerProcess worker(environment);
  EXPECT_EQ(worker.ExitCode(1s), std::nullopt);
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.ExitCode(2s), 143);
}

TEST_F(WorkerProcessTest, KeepsTryingWhileItsTokenIsRefused) {
  Prepare(100, 100);
  StartCoordinator();
  coordinator_->RefuseToken(true);
  WorkerProcess worker(Environment());
  EXPECT_EQ(worker.ExitCode(500ms), std::nullopt);
  coordinator_->RefuseToken(false);
  EXPECT_EQ(worker.ExitCode(), 0);
}

TEST_F(WorkerProcessTest, AnImpossibleWorkloadExitsWithSeventyEight) {
  Prepare(100, 100);
  v1::HttpRequestTemplate& request = *options_.workload.mutable_run_http()->mutable_request();
  request.set_url("https://orders/{{key}}");
  request.mutable_tls()->set_ca_file("/nonexistent/ca.pem");
  StartCoordinator();
  WorkerProcess no_authority(Environment());
  EXPECT_EQ(no_authority.ExitCode(), 78);
  request.clear_tls();
  request.add_secret_headers()->set_name("Authorization");
  request.mutable_secret_headers(0)->set_env("NOT_SET_ANYWHERE");
  coordinator_.reset();
  StartCoordinator();
  WorkerProcess no_secret(Environment());
  EXPECT_EQ(no_secret.ExitCode(), 78);
  stage_ = "dry-run";
  WorkerProcess other_stage(Environment());
  EXPECT_EQ(other_stage.ExitCode(), 78) << "a real run for a worker of the dry run";
  WorkerProcess no_environment({});
  EXPECT_EQ(no_environment.ExitCode(), 78);
}

TEST_F(WorkerProcessTest, ADryRunSendsNothingAndDeliversSamples) {
  Prepare(20'000, 1'000);
  stage_ = "dry-run";
  const v1::HttpRequestTemplate sample = options_.workload.run_http().request();
  *options_.workload.mutable_dry_run_http()->mutable_sample() = sample;
  StartCoordinator();
  WorkerProcess worker(Environment());
  EXPECT_EQ(worker.ExitCode(), 0);
  EXPECT_EQ(sink_->stats().requests, 0u);
  EXPECT_EQ(coordinator_->records_done(), 20'000u);
  std::uint64_t unchanged = 0;
  for (const auto& shard : coordinator_->shards()) unchanged += shard.counts.unchanged();
  EXPECT_EQ(unchanged, 20'000u);
  EXPECT_THAT(coordinator_->samples(), SizeIs(20));
  EXPECT_THAT(coordinator_->violations(), IsEmpty());
}

TEST_F(WorkerProcessTest, ARestartOfTheTargetCostsNothing) {
  Prepare(3'000, 1'000);
  options_.records_per_second = 2'000;
  options_.burst = 100;
  StartCoordinator();
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Eventually([&] { return sink_->stats().records > 500; }));
  const int port = sink_->port();
  sink_->Stop();
  const auto before = sink_->stats().distinct;
  sink_.reset();
  std::this_thread::sleep_for(2s);
  sink_ = std::make_unique<Sink>(SinkOptions{.port = port, .bitmap = 3'000});
  sink_->Start();
  EXPECT_EQ(worker.ExitCode(60s), 0);
  EXPECT_THAT(coordinator_->failures(), IsEmpty());
  EXPECT_GE(before + sink_->stats().distinct, 3'000u);
}

TEST_F(WorkerProcessTest, SharesTheWorkWithOthers) {
  Prepare(20'000, 1'000);
  options_.records_per_second = 20'000;
  options_.burst = 500;
  StartCoordinator();
  WorkerProcess a(Environment("a"));
  WorkerProcess b(Environment("b"));
  EXPECT_EQ(a.ExitCode(), 0);
  EXPECT_EQ(b.ExitCode(), 0);
  EXPECT_EQ(sink_->stats().missing, 0u);
  EXPECT_EQ(sink_->stats().duplicates, 0u);
}

}  // namespace
}  // namespace backfill::fakes
