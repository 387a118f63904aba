// The worker's link to a server as it is, over TLS.
#include "worker/link/link.h"

#include "tests/operator/coordinator/session_recorder.h"

#include <fstream>
#include <mutex>

#include "backfill/v1/coordinator.pb.h"
#include "tests/cluster/tcp_proxy.h"
#include "tests/operator/coordinator/fake_authenticator.h"
#include "tests/operator/coordinator/shown_certificates.h"

namespace backfill::worker {
namespace {

using coordinator::Eventually;
using coordinator::FakeAuthenticator;
using coordinator::Server;
using coordinator::ServerOptions;
using coordinator::SessionRecorder;
using coordinator::ShownCertificates;
using coordinator::WorkerPod;
using Kind = Link::Event::Kind;

class LinkTest : public ::testing::Test {
 protected:
  LinkTest() {
    char directory[] = "/tmp/backfill-link-XXXXXX";
    directory_ = mkdtemp(directory);
    server_options_.listen = "127.0.0.1:0";
    server_options_.certificates = &certificates_;
    server_options_.authenticator = &authenticator_;
    authenticator_.Know("first", WorkerPod("pod"));
    Write("token", "first\n");
    Write("ca.crt", certificates_.Pem());
    options_.dial = {.address = "",
                     .token = "",
                     .token_file = directory_ / "token",
                     .ca_file = directory_ / "ca.crt"};
    recorder_.echo = true;
  }
  ~LinkTest() override {
    link_.reset();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  // As a kubelet does it.
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / (name + ".new")) << text;
    std::filesystem::rename(directory_ / (name + ".new"), directory_ / name);
  }
  void Start() {
    server_ = std::make_unique<Server>(server_options_, clock_, recorder_);
    recorder_.server = server_.get();
    const Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
    options_.dial.address = server_->address();
    StartLink();
  }
  void StartLink() {
    link_ = std::make_unique<Link>(options_, [] {});
    link_->Start();
  }
  // Takes what has come; says Hello on each stream that opens, as a session does.
  void Follow() {
    while (const auto event = link_->Poll()) {
      switch (event->kind) {
        case Kind::kConnected: {
          ++streams_;
          v1::WorkerMessage hello;
          hello.set_sequence(1);
          hello.mutable_hello()->set_protocol_version(1);
          hello.mutable_hello()->set_backfill_uid("u");
          hello.mutable_hello()->set_stage("run");
          link_->Send(event->stream, hello);
          break;
        }
        case Kind::kMessage:
          ++messages_;
          break;
        case Kind::kDisconnected:
          last_error_ = event->error;
          ++ends_;
          break;
      }
    }
  }
  template <typename F>
  bool Comes(F holds) {
    return Eventually([&] {
      Follow();
      return holds();
    });
  }
  bool Talks() {
    const int before = messages_;
    return Comes([&] { return messages_ > before; });
  }

  std::filesystem::path directory_;
  ServerOptions server_options_;
  SystemClock clock_;
  FakeAuthenticator authenticator_;
  ShownCertificates certificates_;
  SessionRecorder recorder_;
  std::unique_ptr<Server> server_;
  LinkOptions options_;
  std::unique_ptr<Link> link_;
  int streams_ = 0, messages_ = 0, ends_ = 0;
  Error last_error_;
};

TEST_F(LinkTest, ReadsItsTokenAnewForEachStream) {
  Start();
  ASSERT_TRUE(Talks());
  authenticator_.Refuse("first", ErrorCode::kUnauthenticated);
  authenticator_.Know("second", WorkerPod("pod"));
  Write("token", "second");
  server_->Disconnect("pod");
  EXPECT_TRUE(Talks());
  EXPECT_EQ(last_error_.code, ErrorCode::kUnauthenticated);
}

// F19
TEST_F(LinkTest, F19_TakesUpANewAuthorityOnItsNextStream) {
  Start();
  ASSERT_TRUE(Talks());
  const fakes::Authority next("next");
  Write("ca.crt", certificates_.Pem(next));
  certificates_.Show(next.Issue(ShownCertificates::kLoopback));
  server_->Disconnect("pod");
  EXPECT_TRUE(Talks());
}

// F19: the bundle comes before the certificate does, and the other way round.
TEST_F(LinkTest, F19_WhoDoesNotTrustTheServerYetTriesUntilItDoes) {
  const fakes::Authority next("next");
  certificates_.Show(next.Issue(ShownCertificates::kLoopback));
  Start();
  ASSERT_TRUE(Comes([&] { return ends_ >= 2; }));
  EXPECT_EQ(last_error_.code, ErrorCode::kUnavailable);
  EXPECT_EQ(authenticator_.asked(), 0);
  Write("ca.crt", certificates_.Pem() + certificates_.Pem(next));
  EXPECT_TRUE(Talks());
}

TEST_F(LinkTest, FilesThatAreNotThereYetAreWaitedFor) {
  std::filesystem::remove(directory_ / "ca.crt");
  Start();
  ASSERT_TRUE(Comes([&] { return ends_ >= 1; }));
  EXPECT_THAT(last_error_.message, ::testing::HasSubstr("ca.crt"));
  std::filesystem::remove(directory_ / "token");
  Write("ca.crt", certificates_.Pem());
  ASSERT_TRUE(Comes([&] { return last_error_.message.find("token") != std::string::npos; }));
  EXPECT_EQ(streams_, 0);
  Write("token", "first");
  EXPECT_TRUE(Talks());
}

TEST_F(LinkTest, NoTokenGoesOverANetworkWithoutTls) {
  options_.dial.ca_file.clear();
  options_.dial.address = "192.0.2.1:9443";  // of documentation: nobody is there
  StartLink();
  ASSERT_TRUE(Comes([&] { return ends_ >= 2; }));
  EXPECT_EQ(last_error_.code, ErrorCode::kInvalid);
  EXPECT_EQ(streams_, 0);
}

// F13: a coordinator on a node that is gone says nothing, and nothing ends.
TEST_F(LinkTest, F13_ASilentCoordinatorIsLeft) {
  recorder_.echo = false;
  options_.silence = 300ms;
  Start();
  ASSERT_TRUE(Comes([&] { return recorder_.sessions() >= 1; }));
  const auto since = std::chrono::steady_clock::now();
  ASSERT_TRUE(Comes([&] {
    link_->CutIfSilent(std::chrono::steady_clock::now());
    return ends_ >= 1;
  }));
  EXPECT_GE(std::chrono::steady_clock::now() - since, 200ms);
  recorder_.echo = true;
  EXPECT_TRUE(Talks());
}

// F13: the node is gone, and its connection with it, which nothing says.
TEST_F(LinkTest, F13_AConnectionThatLeadsNowhereIsNotUsedAgain) {
  options_.silence = 500ms;
  server_ = std::make_unique<Server>(server_options_, clock_, recorder_);
  recorder_.server = server_.get();
  ASSERT_TRUE(server_->Start().ok());
  const std::string& at = server_->address();
  cluster::TcpProxy proxy(static_cast<std::uint16_t>(std::stoi(at.substr(at.rfind(':') + 1))));
  options_.dial.address = "127.0.0.1:" + std::to_string(proxy.port());
  StartLink();
  ASSERT_TRUE(Talks());
  ASSERT_EQ(proxy.accepted(), 1);
  proxy.GoSilent();
  EXPECT_TRUE(Comes([&] {
    link_->CutIfSilent(std::chrono::steady_clock::now());
    return proxy.accepted() > 1;
  }));
  proxy.PassThrough();
  EXPECT_TRUE(Talks());
  link_.reset();
}

TEST_F(LinkTest, AStreamThatLivedIsFollowedByTheNextAtOnce) {
  options_.steady = 0ms;
  Start();
  ASSERT_TRUE(Talks());
  link_->SetReconnectWindow(10min);
  server_->Disconnect("pod");
  EXPECT_TRUE(Talks());  // Eventually() waits 10 s
}

// Another leads within seconds, and what is held lapses in less than a minute.
TEST_F(LinkTest, WhoWasSpokenToLatelyAsksOften) {
  options_.steady = 0ms;
  options_.first_backoff = options_.known_backoff = 20ms;
  options_.max_backoff = 10min;
  options_.streams_a_connection = 1'000'000;
  Start();
  ASSERT_TRUE(Talks());
  recorder_.serves = false;
  server_->Disconnect("pod");
  const int before = ends_;
  EXPECT_TRUE(
      Comes([&] { return ends_ >= before + 14; }));  // 10 s; doubled each time it takes minutes
  recorder_.serves = true;
  EXPECT_TRUE(Talks());
  link_.reset();
}

// Two replicas behind one name, of which one leads.
TEST_F(LinkTest, WhereOneDoesNotLeadTheNextStreamGoesToTheNextAddress) {
  server_ = std::make_unique<Server>(server_options_, clock_, recorder_);
  recorder_.server = server_.get();
  recorder_.serves = false;
  ASSERT_TRUE(server_->Start().ok());
  const std::string port = server_->address().substr(server_->address().rfind(':'));
  ServerOptions other = server_options_;
  other.listen = "[::1]" + port;
  SessionRecorder leader;
  leader.echo = true;
  Server second(other, clock_, leader);
  leader.server = &second;
  if (!second.Start().ok()) GTEST_SKIP() << "no IPv6 here";
  options_.dial.address = "dns:///localhost" + port;
  StartLink();
  ASSERT_TRUE(Talks());
  EXPECT_EQ(recorder_.sessions(), 0u);
  // And the other way round, when the lead changes.
  recorder_.serves = true;
  leader.serves = false;
  second.Disconnect("pod");
  EXPECT_TRUE(Comes([&] { return recorder_.sessions() > 0; }));
  link_.reset();
}

// A Service has one address, and a connection through it leads for ever to whom it led first.
TEST_F(LinkTest, WhereOneDoesNotLeadAndThereIsOneAddressItConnectsAnew) {
  recorder_.serves = false;
  server_ = std::make_unique<Server>(server_options_, clock_, recorder_);
  recorder_.server = server_.get();
  ASSERT_TRUE(server_->Start().ok());
  const std::string port = server_->address().substr(server_->address().rfind(':') + 1);
  cluster::TcpProxy service(static_cast<std::uint16_t>(std::stoi(port)));
  options_.dial.address = "127.0.0.1:" + std::to_string(service.port());
  StartLink();
  ASSERT_TRUE(Comes([&] { return ends_ >= 7; }));
  EXPECT_GE(service.accepted(), 3);
  recorder_.serves = true;
  EXPECT_TRUE(Talks());
  link_.reset();
}

TEST_F(LinkTest, WhoIsRefusedAsksSeldomer) {
  authenticator_.Refuse("first", ErrorCode::kPermission);
  server_options_.peers.failures = 1000;
  Start();
  ASSERT_TRUE(Comes([&] { return ends_ >= 3; }));
  EXPECT_EQ(last_error_.code, ErrorCode::kPermission);
  const int asked = authenticator_.asked();
  std::this_thread::sleep_for(300ms);
  EXPECT_LE(authenticator_.asked(), asked + 8);
}

}  // namespace
}  // namespace backfill::worker
