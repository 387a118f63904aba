// Who may speak, and for what.
#include "operator/coordinator/server.h"

#include "tests/operator/coordinator/session_recorder.h"

#include <atomic>
#include <thread>
#include <vector>

#include "operator/coordinator/server_certificates.h"
#include "tests/fakes/manual_clock.h"
#include "tests/operator/coordinator/fake_authenticator.h"
#include "tests/operator/coordinator/shown_certificates.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using v1::CoordinatorMessage;

class ServerIdentityTest : public ::testing::Test {
 protected:
  ServerIdentityTest() {
    options_.authenticator = &authenticator_;
    authenticator_.Know("t0", WorkerPod("pod-0", 0));
    authenticator_.Know("t1", WorkerPod("pod-1", 1));
  }
  ~ServerIdentityTest() override { server_.reset(); }
  void Start() {
    server_ = std::make_unique<Server>(options_, clock_, recorder_);
    recorder_.server = server_.get();
    const Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  // As on a network, where bounds for strangers hold.
  void StartOnNetwork() {
    options_.listen = "127.0.0.1:0";
    options_.certificates = &certificates_;
    Start();
  }
  std::unique_ptr<WorkerClient> Client(const std::string& token) {
    if (options_.listen.empty()) return std::make_unique<WorkerClient>(server_->address(), token);
    return std::make_unique<WorkerClient>(server_->address(), token,
                                          certificates_.ClientThatTrusts());
  }
  bool Connected(std::size_t n) {
    return Eventually([&] { return recorder_.sessions() >= n; });
  }
  StatusCode EndOf(const std::string& token, const std::string& uid = "u",
                   const std::string& stage = "run") {
    const auto client = Client(token);
    client->Hello(uid, stage, "run-0");
    const grpc::Status status = client->Finish();
    EXPECT_EQ(status.error_message().find("secret"), std::string::npos) << status.error_message();
    return status.error_code();
  }

  ServerOptions options_;
  fakes::ManualClock clock_;
  FakeAuthenticator authenticator_;
  ShownCertificates certificates_;
  SessionRecorder recorder_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerIdentityTest, AStreamActsForWhatWasProvenWhateverItsHelloSays) {
  Start();
  const auto client = Client("t1");
  ASSERT_TRUE(client->Hello("u", "run", "run-7", "somebody-else"));
  ASSERT_TRUE(Connected(1));
  const v1::Hello hello = recorder_.HelloOf(recorder_.FirstSession());
  EXPECT_EQ(hello.worker(), "run-1");
  EXPECT_EQ(hello.instance(), "pod-1");
}

// F18
TEST_F(ServerIdentityTest, AHelloForAnotherBackfillOrStageIsRefused) {
  Start();
  EXPECT_EQ(EndOf("t0", "another"), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(EndOf("t0", "u", "dry-run"), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(EndOf("t0", "", ""), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(server_->counts().foreign, 3u);
  EXPECT_EQ(recorder_.sessions(), 0u);
}

// F18: refused, counted, nothing revealed.
TEST_F(ServerIdentityTest, EachRefusalHasItsCodeAndCounterAndNoReason) {
  authenticator_.Refuse("stranger", ErrorCode::kPermission);
  authenticator_.Refuse("later", ErrorCode::kUnavailable);
  Start();
  EXPECT_EQ(EndOf("forged"), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(EndOf(""), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(EndOf("stranger"), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(EndOf("later"), StatusCode::UNAVAILABLE);
  const ServerCounts counts = server_->counts();
  EXPECT_EQ(counts.unauthenticated, 2u);
  EXPECT_EQ(counts.forbidden, 1u);
  EXPECT_EQ(counts.undecided, 1u);
  EXPECT_EQ(counts.streams, 0u);
  EXPECT_EQ(recorder_.sessions(), 0u);
}

TEST_F(ServerIdentityTest, NothingIsReadBeforeItIsKnownWhoSpeaksAndOthersDoNotWait) {
  authenticator_.Hold();
  Start();
  std::vector<std::unique_ptr<WorkerClient>> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(Client("t0"));
    ASSERT_TRUE(waiting.back()->Hello("u", "run", "run-0"));
  }
  ASSERT_TRUE(Eventually([&] { return authenticator_.held() == 50; }));
  EXPECT_EQ(recorder_.sessions(), 0u);
  authenticator_.Release();
  EXPECT_TRUE(Connected(50));
}

TEST_F(ServerIdentityTest, WhoIsNotKnownInTimeIsLetGoAndALateAnswerDoesNothing) {
  authenticator_.Hold();
  Start();
  const auto client = Client("t0");
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Eventually([&] { return authenticator_.held() == 1; }));
  clock_.Advance(11s);
  server_->Tick();
  EXPECT_EQ(client->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  authenticator_.Release();
  EXPECT_EQ(recorder_.sessions(), 0u);
}

TEST_F(ServerIdentityTest, AnAnswerMayComeAfterTheServerIsGone) {
  authenticator_.Hold();
  Start();
  {
    const auto client = Client("t0");
    ASSERT_TRUE(client->Hello("u", "run", "run-0"));
    ASSERT_TRUE(Eventually([&] { return authenticator_.held() == 1; }));
  }
  server_.reset();
  authenticator_.Release();
}

// F15
TEST_F(ServerIdentityTest, OfTwoPodsInOneSlotTheNewerHasIt) {
  authenticator_.Know("old", WorkerPod("pod-old", 3, 1));
  authenticator_.Know("new", WorkerPod("pod-new", 3, 2));
  Start();
  const auto old_pod = Client("old"), new_pod = Client("new");
  ASSERT_TRUE(old_pod->Hello("u", "run", "run-3"));
  ASSERT_TRUE(Connected(1));
  ASSERT_TRUE(new_pod->Hello("u", "run", "run-3"));
  ASSERT_TRUE(Connected(2));
  EXPECT_EQ(EndOf("old"), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(server_->counts().superseded, 1u);
  server_->Disconnect("pod-new");
  EXPECT_EQ(new_pod->Finish().error_code(), StatusCode::UNAUTHENTICATED);
  const auto again = Client("old");
  ASSERT_TRUE(again->Hello("u", "run", "run-3"));
  EXPECT_TRUE(Connected(3));
}

TEST_F(ServerIdentityTest, APodThatHasEndedLosesItsStreamAndNobodyElseDoes) {
  Start();
  const auto ended = Client("t0"), other = Client("t1");
  ASSERT_TRUE(ended->Hello("u", "run", "run-0"));
  ASSERT_TRUE(other->Hello("u", "run", "run-1"));
  ASSERT_TRUE(Connected(2));
  server_->Disconnect("pod-0");
  EXPECT_EQ(ended->Finish().error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(server_->counts().revoked, 1u);
  ASSERT_TRUE(other->Progress(1));
  EXPECT_TRUE(Eventually([&] { return recorder_.gone == 1; }));
}

TEST_F(ServerIdentityTest, OpenStreamsAreReviewedAgainAndEndWhenTheyAreRefused) {
  Start();
  const auto client = Client("t0");
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Connected(1));
  clock_.Advance(7min);
  server_->Tick();
  EXPECT_EQ(authenticator_.asked(), 1);
  clock_.Advance(3min);
  server_->Tick();
  EXPECT_EQ(authenticator_.asked(), 2);
  authenticator_.Refuse("t0", ErrorCode::kUnauthenticated);
  clock_.Advance(10min);
  server_->Tick();
  EXPECT_EQ(client->Finish().error_code(), StatusCode::UNAUTHENTICATED);
}

TEST_F(ServerIdentityTest, WithoutAnAnswerOpenStreamsLiveOnAndAreReviewedBeforeLong) {
  Start();
  const auto client = Client("t0");
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  ASSERT_TRUE(Connected(1));
  authenticator_.Refuse("t0", ErrorCode::kUnavailable);
  clock_.Advance(10min);
  server_->Tick();
  EXPECT_EQ(authenticator_.asked(), 2);
  clock_.Advance(61s);
  server_->Tick();
  EXPECT_EQ(authenticator_.asked(), 3);
  EXPECT_EQ(recorder_.gone, 0);
  authenticator_.Know("t0", WorkerPod("pod-9", 0));  // another one than before
  clock_.Advance(61s);
  server_->Tick();
  EXPECT_EQ(client->Finish().error_code(), StatusCode::UNAUTHENTICATED);
}

// R38
TEST_F(ServerIdentityTest, WhoDoesNotLeadRefusesAtOnceAndAsksNobody) {
  recorder_.serves = false;
  Start();
  EXPECT_EQ(EndOf("t0"), StatusCode::UNAVAILABLE);
  EXPECT_EQ(EndOf("forged"), StatusCode::UNAVAILABLE);
  EXPECT_EQ(authenticator_.asked(), 0);
  EXPECT_EQ(server_->counts().not_serving, 2u);
  recorder_.serves = true;
  const auto client = Client("t0");
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  EXPECT_TRUE(Connected(1));
}

TEST_F(ServerIdentityTest, AnAddressThatShowsBadTokensIsClosedUnheardForAMinute) {
  StartOnNetwork();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(EndOf("forged"), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(EndOf("forged"), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(EndOf("t0"), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(authenticator_.asked(), 5);
  EXPECT_EQ(server_->counts().closed, 2u);
  clock_.Advance(61s);
  const auto client = Client("t0");
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  EXPECT_TRUE(Connected(1));
}

TEST_F(ServerIdentityTest, AFloodOfStreamsFromOneAddressIsCutToItsShare) {
  options_.peers.streams = 3;
  authenticator_.Hold();
  StartOnNetwork();
  std::vector<std::unique_ptr<WorkerClient>> few;
  for (int i = 0; i < 3; ++i) {
    few.push_back(Client("t0"));
    ASSERT_TRUE(few.back()->Hello("u", "run", "run-0"));
  }
  ASSERT_TRUE(Eventually([&] { return authenticator_.held() == 3; }));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(EndOf("t0"), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(server_->counts().refused, 20u);
  few.clear();
  authenticator_.Release();
  const auto client = Client("t0");
  EXPECT_TRUE(Eventually([&] {
    const auto late = Client("t0");
    CoordinatorMessage answer;
    recorder_.echo = true;
    return late->Hello("u", "run", "run-0") && late->Read(&answer);
  }));
}

TEST_F(ServerIdentityTest, ALargerMessageThanTheNetworkMayCarryEndsItsStream) {
  StartOnNetwork();
  const auto client = Client("t0");
  ASSERT_TRUE(client->Hello("u", "run", "run-0"));
  v1::WorkerMessage message;
  message.mutable_shard_done()->mutable_lease()->set_done_above(std::string(2 << 20, 'x'));
  client->Send(message);
  EXPECT_EQ(client->Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServerIdentityTest, ANetworkNeedsCertificates) {
  options_.listen = "127.0.0.1:0";
  server_ = std::make_unique<Server>(options_, clock_, recorder_);
  EXPECT_EQ(server_->Start().error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace backfill::coordinator
