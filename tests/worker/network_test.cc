// Workers as processes that do a stage of a coordinator on a network: TLS, tokens of pods, files
// that are replaced under them.
#include "tests/operator/coordinator/worker_client.h"

#include <filesystem>
#include <fstream>

#include "operator/coordinator/coordinator.h"
#include "tests/fakes/memory_store.h"
#include "tests/operator/coordinator/fake_authenticator.h"
#include "tests/operator/coordinator/plans.h"
#include "tests/operator/coordinator/shown_certificates.h"
#include "tests/worker/sink.h"
#include "tests/worker/worker_process.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using fakes::Sink;
using fakes::SinkOptions;
using fakes::WorkerProcess;

constexpr int kShards = 20;
constexpr int kPerShard = 500;
constexpr std::uint64_t kRecords = kShards * kPerShard;

class NetworkTest : public ::testing::Test {
 protected:
  NetworkTest() {
    char directory[] = "/tmp/backfill-network-XXXXXX";
    directory_ = mkdtemp(directory);
    sink_.Start();
    options_.server.listen = "127.0.0.1:0";
    options_.server.certificates = &certificates_;
    options_.server.authenticator = &authenticator_;
    options_.stage.min_report_period = 50ms;
    // A lease that is lost with its stream on the way is given away again within a test's time.
    options_.stage.fence = 10s;
    options_.stage.min_ttl = 12s;
    options_.stage.wire_margin = 1s;
    authenticator_.Know("token-0", WorkerPod("pod-0", 0, 0, RunKey()));
    authenticator_.Know("token-1", WorkerPod("pod-1", 1, 0, RunKey()));
    Write("token-0", "token-0\n");
    Write("token-1", "token-1\n");
    Write("ca.crt", certificates_.Pem());
  }
  ~NetworkTest() override {
    coordinator_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / (name + ".new")) << text;
    std::filesystem::rename(directory_ / (name + ".new"), directory_ / name);
  }
  void Start(double records_per_second) {
    coordinator_ = std::make_unique<Coordinator>(store_, clock_, leadership_, options_);
    const Status started = coordinator_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
    api::Backfill b;
    b.name = RunKey().name, b.ns = RunKey().ns, b.uid = RunKey().uid;
    b.spec.source = api::RangeSource{.start = 0, .end = kRecords};
    b.spec.target.timeout = 1s;
    b.spec.target.url = "http://127.0.0.1:" + std::to_string(sink_.port()) + "/r/{{key}}";
    ASSERT_TRUE(coordinator_->CreateLedger(RunKey(), PlanOf(kShards, kPerShard)).ok());
    ASSERT_TRUE(coordinator_->Open(b, RunKey()).ok());
    reconcile::LiveSettings settings;
    settings.records_per_second = records_per_second;
    coordinator_->Configure(RunKey(), settings);
  }
  // As in a pod.
  std::map<std::string, std::string> Environment(int index = 0) const {
    const std::string text = std::to_string(index);
    return {{"BACKFILL_COORDINATOR", coordinator_->address()},
            {"BACKFILL_TOKEN_FILE", directory_ / ("token-" + text)},
            {"BACKFILL_CA_FILE", directory_ / "ca.crt"},
            {"BACKFILL_UID", RunKey().uid},
            {"BACKFILL_NAMESPACE", RunKey().ns},
            {"BACKFILL_NAME", RunKey().name},
            {"BACKFILL_STAGE", "run"},
            {"BACKFILL_POOL", "0"},
            {"JOB_COMPLETION_INDEX", text},
            {"BACKFILL_POD_UID", "pod-" + text}};
  }
  std::uint64_t Done() {
    const auto snapshot = coordinator_->Snapshot(RunKey());
    return snapshot ? snapshot->totals.counts.updated : 0;
  }
  bool HasDone(std::uint64_t records) {
    return Eventually([&] { return Done() >= records; });
  }
  void ExpectAllDoneOnce() {
    EXPECT_EQ(Done(), kRecords);
    EXPECT_EQ(sink_.stats().missing, 0u);
    EXPECT_EQ(sink_.stats().duplicates, 0u);
  }

  std::filesystem::path directory_;
  SystemClock clock_;
  SoleLeader leadership_;
  fakes::MemoryStore store_;
  FakeAuthenticator authenticator_;
  ShownCertificates certificates_;
  Sink sink_{SinkOptions{.bitmap = kRecords}};
  CoordinatorOptions options_;
  std::unique_ptr<Coordinator> coordinator_;
};

TEST_F(NetworkTest, WorkersDoAWholeStageOverTls) {
  Start(100'000);
  WorkerProcess first(Environment(0)), second(Environment(1));
  EXPECT_EQ(first.ExitCode(60s), 0);
  EXPECT_EQ(second.ExitCode(60s), 0);
  ExpectAllDoneOnce();
}

// F19: connections end all the time, and each new one meets another authority than the last.
TEST_F(NetworkTest, F19_AuthoritiesAndCertificatesChangeUnderLoadAndNoLeaseIsLost) {
  options_.server.network.max_age = 250ms;
  options_.server.network.max_age_grace = 50ms;
  options_.stage.min_reconnect_window = 50ms;
  Start(3'000);
  WorkerProcess first(Environment(0)), second(Environment(1));
  std::string trusted = certificates_.Pem();
  for (int i = 0; i < 6 && first.running(); ++i) {
    ASSERT_TRUE(HasDone(static_cast<std::uint64_t>(i + 1) * 1'000));
    const fakes::Authority next("next");
    const std::string pem = certificates_.Pem(next);
    Write("ca.crt", trusted + pem);  // published before it is used
    certificates_.Show(next.Issue(ShownCertificates::kLoopback));
    trusted = pem;
  }
  EXPECT_EQ(first.ExitCode(60s), 0);
  EXPECT_EQ(second.ExitCode(60s), 0);
  EXPECT_GT(coordinator_->counts().streams, 4u);
  ExpectAllDoneOnce();
}

TEST_F(NetworkTest, ATokenThatIsReplacedIsShownOnTheNextStream) {
  Start(5'000);
  WorkerProcess worker(Environment(0));
  ASSERT_TRUE(HasDone(1'000));
  authenticator_.Refuse("token-0", ErrorCode::kUnauthenticated);
  authenticator_.Know("newer", WorkerPod("pod-0", 0, 0, RunKey()));
  Write("token-0", "newer");
  coordinator_->Disconnect("pod-0");
  EXPECT_EQ(worker.ExitCode(60s), 0);
  ExpectAllDoneOnce();
}

// F18: the pod is gone, its token and its process are not.
TEST_F(NetworkTest, F18_WhoIsRefusedGetsNothingAndTriesOn) {
  Start(5'000);
  WorkerProcess worker(Environment(0));
  ASSERT_TRUE(HasDone(500));
  authenticator_.Refuse("token-0", ErrorCode::kPermission);
  coordinator_->Disconnect("pod-0");
  ASSERT_TRUE(Eventually([&] { return coordinator_->counts().forbidden >= 2; }));
  EXPECT_EQ(coordinator_->Snapshot(RunKey())->connected, 0);
  EXPECT_TRUE(worker.running());
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.ExitCode(5s), 143);
}

TEST_F(NetworkTest, TerminationGivesLeasesBackOverTlsSoThatAnotherEndsTheStage) {
  Start(4'000);
  WorkerProcess first(Environment(0));
  ASSERT_TRUE(HasDone(500));
  first.Signal(SIGTERM);
  EXPECT_EQ(first.ExitCode(10s), 143);
  coordinator_->WorkerGone(RunKey(), "run-0", "pod-0");  // so that its rate is free at once
  WorkerProcess second(Environment(1));
  EXPECT_EQ(second.ExitCode(60s), 0);
  ExpectAllDoneOnce();
}

TEST_F(NetworkTest, WithoutAnAuthorityForANetworkTheWorkerEndsWithSeventyEight) {
  Start(1'000);
  auto environment = Environment(0);
  environment["BACKFILL_COORDINATOR"] = "coordinator.backfill-system.svc:9443";
  environment.erase("BACKFILL_CA_FILE");
  WorkerProcess worker(environment);
  EXPECT_EQ(worker.ExitCode(5s), 78);
}

}  // namespace
}  // namespace backfill::coordinator
