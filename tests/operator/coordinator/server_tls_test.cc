// TLS as workers meet it, on real connections.
#include "operator/coordinator/server.h"

#include "tests/operator/coordinator/session_recorder.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "tests/operator/coordinator/fake_authenticator.h"
#include "tests/operator/coordinator/shown_certificates.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using fakes::Authority;
using grpc::StatusCode;
using ::testing::HasSubstr;
using v1::CoordinatorMessage;

class ServerTlsTest : public ::testing::Test {
 protected:
  ServerTlsTest() {
    options_.listen = "127.0.0.1:0";
    options_.certificates = &certificates_;
    options_.authenticator = &authenticator_;
    authenticator_.Know("t", WorkerPod("pod"));
    recorder_.echo = true;
  }
  ~ServerTlsTest() override { server_.reset(); }
  void Start() {
    server_ = std::make_unique<Server>(options_, clock_, recorder_);
    recorder_.server = server_.get();
    const Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  std::unique_ptr<WorkerClient> Client(const std::string& bundle = "") {
    return std::make_unique<WorkerClient>(server_->address(), "t",
                                          certificates_.ClientThatTrusts(bundle));
  }
  // Whether what it says is heard and answered.
  static bool Talks(WorkerClient& client, bool first = false) {
    CoordinatorMessage answer;
    return (first ? client.Hello("u", "run", "run-0") : client.Progress(1)) && client.Read(&answer);
  }
  bool Connects(const std::string& bundle = "") { return Talks(*Client(bundle), true); }
  // Why a connection cannot be made.
  std::string Refusal(const std::string& bundle = "") {
    const auto client = Client(bundle);
    client->Hello("u", "run", "run-0");
    const grpc::Status status = client->Finish();
    EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
    return status.error_message();
  }
  // A connection that has said nothing yet.
  int Dial() const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string& at = server_->address();
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(at.substr(at.rfind(':') + 1))));
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // What a client that speaks no newer version gets; 0: nothing.
  int VersionWith(int newest) const {
    const int fd = Dial();
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
    SSL_CTX_set_security_level(context.get(), 0);  // the client would refuse by itself
    SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context.get(), newest);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), &SSL_free);
    const unsigned char http2[] = {2, 'h', '2'};
    SSL_set_alpn_protos(ssl.get(), http2, sizeof http2);
    SSL_set_fd(ssl.get(), fd);
    const int version = SSL_connect(ssl.get()) == 1 ? SSL_version(ssl.get()) : 0;
    close(fd);
    return version;
  }

  ServerOptions options_;
  SystemClock clock_;
  FakeAuthenticator authenticator_;
  ShownCertificates certificates_;
  SessionRecorder recorder_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTlsTest, WhoTrustsItsAuthorityIsServed) {
  Start();
  EXPECT_TRUE(Connects());
}

TEST_F(ServerTlsTest, ListensOnIPv6WhereThereIsOne) {
  options_.listen = "[::1]:0";
  server_ = std::make_unique<Server>(options_, clock_, recorder_);
  recorder_.server = server_.get();
  if (!server_->Start().ok()) GTEST_SKIP() << "no IPv6 here";
  EXPECT_THAT(server_->address(), ::testing::StartsWith("[::1]:"));
  certificates_.Show(certificates_.authority().Issue("IP:::1"));
  EXPECT_TRUE(Connects());
}

TEST_F(ServerTlsTest, WhoDoesNotTrustItSaysNothing) {
  Start();
  EXPECT_THAT(Refusal(certificates_.Pem(Authority("another"))),
              HasSubstr("certificate verify failed"));
  certificates_.Show(certificates_.authority().Issue("DNS:another.shop.svc"));
  EXPECT_FALSE(Refusal().empty());
  certificates_.Show(certificates_.authority().Issue(ShownCertificates::kLoopback, -1));  // expired
  EXPECT_THAT(Refusal(), HasSubstr("certificate verify failed"));
  EXPECT_EQ(authenticator_.asked(), 0);  // no token has left the client
}

TEST_F(ServerTlsTest, WhoSpeaksNoTlsIsNotHeard) {
  Start();
  WorkerClient plain(server_->address(), "t");
  plain.Hello("u", "run", "run-0");
  EXPECT_FALSE(plain.Finish().ok());
  EXPECT_EQ(authenticator_.asked(), 0);
  EXPECT_TRUE(Connects());
}

TEST_F(ServerTlsTest, SpeaksTls12AndNewerOnly) {
  Start();
  EXPECT_EQ(VersionWith(TLS1_3_VERSION), TLS1_3_VERSION);
  EXPECT_EQ(VersionWith(TLS1_2_VERSION), TLS1_2_VERSION);
  EXPECT_EQ(VersionWith(TLS1_1_VERSION), 0);
}

TEST_F(ServerTlsTest, WithoutACertificateYetNobodyConnectsUntilThereIsOne) {
  certificates_.ShowNone();
  Start();
  EXPECT_FALSE(Refusal().empty());
  certificates_.Show(certificates_.authority().Issue(ShownCertificates::kLoopback));
  EXPECT_TRUE(Connects());
}

// F19
TEST_F(ServerTlsTest, ANewCertificateIsShownToNewConnectionsAndOpenStreamsGoOn) {
  Start();
  const auto before = Client();
  ASSERT_TRUE(Talks(*before, true));
  const Authority next("next");
  certificates_.Show(next.Issue(ShownCertificates::kLoopback));
  EXPECT_TRUE(Talks(*before));
  EXPECT_TRUE(Connects(certificates_.Pem(next)));
  EXPECT_TRUE(Connects(certificates_.Pem() + certificates_.Pem(next)));
  EXPECT_THAT(Refusal(), HasSubstr("certificate verify failed"));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Talks(*before));
}

TEST_F(ServerTlsTest, APairThatDoesNotFitOrIsNoneChangesNothing) {
  Start();
  const auto good = *certificates_.Current();
  certificates_.Show(certificates_.authority().Issue(ShownCertificates::kLoopback));
  const auto other = *certificates_.Current();
  for (const ServerCertificate& bad :
       {ServerCertificate{.chain = good.chain, .key = other.key}, ServerCertificate{},
        ServerCertificate{.chain = "garbage", .key = good.key},
        ServerCertificate{.chain = good.chain, .key = good.key.substr(0, good.key.size() / 2)}}) {
    certificates_.ShowText(bad);
    EXPECT_TRUE(Connects());
  }
  certificates_.ShowNone();
  EXPECT_TRUE(Connects());
}

TEST_F(ServerTlsTest, ABadPairAtTheStartIsAsGoodAsNone) {
  const auto good = *certificates_.Current();
  certificates_.ShowText({.chain = good.chain, .key = "garbage"});
  Start();
  EXPECT_FALSE(Refusal().empty());
  certificates_.ShowText(good);
  EXPECT_TRUE(Connects());
}

TEST_F(ServerTlsTest, AFloodOfSilentConnectionsKeepsNobodyOutAndIsClosed) {
  options_.network.handshake_timeout = 500ms;
  options_.network.connections.of_an_address = 1'000;
  Start();
  std::vector<int> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(Dial());
  EXPECT_TRUE(Connects());
  for (const int fd : silent) {
    EXPECT_TRUE(Eventually([&] {
      char byte = 0;
      const auto got = recv(fd, &byte, 1, MSG_DONTWAIT);
      return got == 0 || (got < 0 && errno == ECONNRESET);
    }));
    close(fd);
  }
  EXPECT_TRUE(Connects());
  EXPECT_EQ(authenticator_.asked(), 2);
}

TEST_F(ServerTlsTest, AnAddressHasSoManyConnectionsAndThoseThatStandGoOn) {
  options_.network.connections.of_an_address = 5;
  Start();
  const auto worker = Client();
  ASSERT_TRUE(Talks(*worker, true));
  std::vector<int> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(Dial());
  EXPECT_TRUE(Eventually([&] { return server_->counts().turned_away == 46; }));
  EXPECT_TRUE(Talks(*worker));
  for (const int fd : silent) close(fd);
  EXPECT_TRUE(Eventually([this] { return Connects(); })) << "there is room again";
}

// F19
TEST_F(ServerTlsTest, CertificatesChangeUnderManyConnections) {
  Start();
  std::jthread rotation([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      certificates_.Show(certificates_.authority().Issue(ShownCertificates::kLoopback));
      std::this_thread::sleep_for(2ms);
    }
  });
  std::atomic<int> served{0};
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&, bundle = certificates_.Pem()] {
        for (int n = 0; n < 10; ++n) served += Connects(bundle) ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(served, 40);
}

TEST_F(ServerTlsTest, AnOldConnectionIsEndedSoThatItsWorkerComesBack) {
  options_.network.max_age = 200ms;
  options_.network.max_age_grace = 200ms;
  Start();
  const auto client = Client();
  ASSERT_TRUE(Talks(*client, true));
  EXPECT_EQ(client->Finish().error_code(), StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace backfill::coordinator
