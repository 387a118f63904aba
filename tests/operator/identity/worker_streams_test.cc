// Streams of workers over TLS whose tokens a cluster knows: the server, who tells it whose token it
// is, and an API server behind that.
#include "tests/operator/coordinator/session_recorder.h"

#include <atomic>
#include <thread>
#include <vector>

#include "operator/identity/token_authenticator.h"
#include "tests/operator/coordinator/shown_certificates.h"
#include "tests/operator/identity/identity_bench.h"

namespace backfill::identity {
namespace {

using namespace std::chrono_literals;
using coordinator::Eventually;
using coordinator::Server;
using coordinator::ServerOptions;
using coordinator::SessionRecorder;
using coordinator::ShownCertificates;
using coordinator::WorkerClient;
using grpc::StatusCode;
using v1::CoordinatorMessage;
using Made = IdentityBench::Made;

class WorkerStreamsTest : public ::testing::Test, protected IdentityBench {
 protected:
  WorkerStreamsTest() {
    backfill_ = MakeBackfill("reprice");
    job_ = MakeJob(backfill_, "reprice-run");
    options_.listen = "127.0.0.1:0";
    options_.certificates = &certificates_;
    options_.peers.burst = 10'000;
    recorder_.echo = true;
  }
  // The server goes first: whoever waits for an answer gets it from what is left.
  ~WorkerStreamsTest() override { server_.reset(); }

  Made MakeWorker(int index) {
    const Made pod = MakePod(job_, index);
    server_api().AddToken("token-" + std::to_string(index), IdentityOf(pod));
    return pod;
  }
  fakes::FakeApiServer& server_api() { return IdentityBench::server_; }
  void Start() {
    LetCachesSee();
    server_api().ForgetCalls();
    authenticator_.emplace(client_, directory_, clock_);
    authenticator_->Start();
    options_.authenticator = &*authenticator_;
    server_ = std::make_unique<Server>(options_, clock_, recorder_);
    recorder_.server = server_.get();
    const Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
    credentials_ = certificates_.ClientThatTrusts();
  }
  std::unique_ptr<WorkerClient> Client(int index) {
    return std::make_unique<WorkerClient>(server_->address(), "token-" + std::to_string(index),
                                          credentials_);
  }
  bool Attaches(WorkerClient& client) {
    CoordinatorMessage answer;
    return client.Hello(backfill_.uid, "run", "whoever") && client.Read(&answer);
  }
  StatusCode EndOf(int index) {
    const auto client = Client(index);
    client->Hello(backfill_.uid, "run", "whoever");
    const grpc::Status status = client->Finish();
    EXPECT_TRUE(status.error_message() == "not accepted" || status.error_message() == "try again")
        << status.error_message();
    return status.error_code();
  }
  int Reviews() { return server_api().Count({.verb = "create", .plural = "tokenreviews"}); }

  Made backfill_, job_;
  ServerOptions options_;
  ShownCertificates certificates_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  SessionRecorder recorder_;
  std::optional<TokenAuthenticator> authenticator_;
  std::unique_ptr<Server> server_;
};

// F22: attached in time, and no storm of reviews when they come again.
TEST_F(WorkerStreamsTest, F22_AllReconnectTogether) {
  constexpr int kWorkers = 200;
  for (int i = 0; i < kWorkers; ++i) MakeWorker(i);
  Start();
  const auto all_come = [&] {
    std::atomic<int> attached{0};
    std::vector<std::unique_ptr<WorkerClient>> clients(kWorkers);
    const auto begun = std::chrono::steady_clock::now();
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
          for (int i = t; i < kWorkers; i += 4) {
            auto& client = clients[static_cast<std::size_t>(i)];
            client = Client(i);
            attached += Attaches(*client) ? 1 : 0;
          }
        });
      }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 15s);
    return attached.load();
  };
  EXPECT_EQ(all_come(), kWorkers);
  EXPECT_EQ(Reviews(), kWorkers);
  EXPECT_EQ(all_come(), kWorkers);
  EXPECT_EQ(all_come(), kWorkers);
  EXPECT_EQ(Reviews(), kWorkers);
  EXPECT_EQ(server_->counts().streams, static_cast<std::uint64_t>(3 * kWorkers));
}

// F18: the pod is gone; its stream ends, and its token is good for nothing.
TEST_F(WorkerStreamsTest, F18_ReplayAfterThePodsEnd) {
  const Made pod = MakeWorker(3);
  Start();
  const auto client = Client(3);
  ASSERT_TRUE(Attaches(*client));
  EXPECT_EQ(recorder_.HelloOf(recorder_.FirstSession()).worker(), "run-3");
  EXPECT_EQ(recorder_.HelloOf(recorder_.FirstSession()).instance(), pod.uid);
  Delete(PodPath(pod));
  LetCachesSee();
  server_->Disconnect(pod.uid);
  EXPECT_EQ(client->Finish().error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(EndOf(3), StatusCode::PERMISSION_DENIED);
  server_api().RemoveToken("token-3");
  clock_.Advance(61s);
  EXPECT_EQ(EndOf(3), StatusCode::UNAUTHENTICATED);
}

TEST_F(WorkerStreamsTest, WithoutTheApiServerNewStreamsComeBackAndOpenOnesLiveOn) {
  MakeWorker(0), MakeWorker(1);
  Start();
  const auto open = Client(0);
  ASSERT_TRUE(Attaches(*open));
  server_api().GoDown();
  EXPECT_EQ(EndOf(1), StatusCode::UNAVAILABLE);
  clock_.Advance(10min);
  server_->Tick();  // a review that gets no answer
  ASSERT_TRUE(Eventually([&] {
    return authenticator_->counts().refused[static_cast<std::size_t>(Refusal::kUnavailable)] >= 2;
  }));
  CoordinatorMessage answer;
  ASSERT_TRUE(open->Progress(1));
  EXPECT_TRUE(open->Read(&answer));
  server_api().ComeBack();
  const auto late = Client(1);
  EXPECT_TRUE(Attaches(*late));
}

// F18: of another Backfill's worker, for ours.
TEST_F(WorkerStreamsTest, F18_AWorkerOfAnotherBackfillIsNoWorkerOfThisOne) {
  const Made other = MakeBackfill("other");
  const Made pod = MakePod(MakeJob(other, "other-run"), 0);
  server_api().AddToken("token-0", IdentityOf(pod));
  Start();
  EXPECT_EQ(EndOf(0), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(server_->counts().foreign, 1u);
  EXPECT_EQ(recorder_.sessions(), 0u);
}

}  // namespace
}  // namespace backfill::identity
