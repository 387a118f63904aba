// The sender over TLS, against a server that has a certificate of its own making.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/worker/target/certificates.h"
#include "tests/worker/target/raw_server.h"
#include "tests/worker/target/tls_server.h"
#include "worker/target/dry_run_target.h"
#include "worker/target/run_target.h"
#include "worker/target/tcp.h"

namespace backfill::worker {
namespace {

using fakes::Authority;
using fakes::Identity;
using fakes::kOk;
using fakes::RawServer;
using fakes::TlsServer;
using fakes::TlsServerOptions;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    std::string path = (std::filesystem::temp_directory_path() / "backfill-tls-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) std::abort();
    dir_ = path;
    authority_.WriteTo(ca());
    settings_.ca_file = ca();
  }
  ~TlsTest() override {
    target_.reset();
    std::filesystem::remove_all(dir_);
  }
  [[nodiscard]] std::string ca() const { return dir_ / "ca.pem"; }
  [[nodiscard]] std::string cert() const { return dir_ / "cert.pem"; }
  [[nodiscard]] std::string key() const { return dir_ / "key.pem"; }
  void Write(const std::string& file, const std::string& text) const {
    std::ofstream(dir_ / file) << text;
  }

  void ServerWith(const Identity& identity, TlsServer::Serve serve = TlsServer::Always(kOk),
                  const TlsServerOptions& options = {}) {
    target_.reset();
    server_ = std::make_unique<TlsServer>(identity, std::move(serve), options);
  }
  Status Open(int port, const std::string& host = "localhost", HttpSenderOptions options = {},
              std::chrono::milliseconds timeout = 2s) {
    target_.reset();  // before its io_context, whose handlers never run again
    io_ = std::make_unique<boost::asio::io_context>(1);
    const RequestTemplate request{
        .method = "POST",
        .url = "https://" + host + ":" + std::to_string(port) + "/{{key}}",
        .headers = {},
        .body = body_,
        .timeout = timeout,
        .tls = settings_,
        .secret_headers = secrets_};
    target_ = TRY(RunTarget::Create(
        *io_, request, {.backfill_name = "b", .backfill_uid = "u", .fields = {}}, OutcomeMap(),
        options, [this](std::uint32_t, BatchResult r) { result_ = std::move(r); }));
    return Ok{};
  }
  void TargetAt(const std::string& host, HttpSenderOptions options = {},
                std::chrono::milliseconds timeout = 2s) {
    const Status opened = Open(server_->port(), host, options, timeout);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
  }
  void EachRequestConnectsAnew() { TargetAt("localhost", {.max_age = 0s}); }

  BatchResult Send() {
    result_.reset();
    target_->Send({0, ShardId{0}, &records_}, std::chrono::steady_clock::now());
    const Time until = std::chrono::steady_clock::now() + 10s;
    while (!result_ && std::chrono::steady_clock::now() < until) Step();
    EXPECT_TRUE(result_) << "no result";
    return result_.value_or(BatchResult{});
  }
  void Step() {
    io_->restart();
    io_->run_for(5ms);
    target_->Tick(std::chrono::steady_clock::now());
  }
  void RunFor(Duration d) {
    const Time until = std::chrono::steady_clock::now() + d;
    while (std::chrono::steady_clock::now() < until) Step();
  }
  void ExpectUpdated(const BatchResult& r) {
    EXPECT_EQ(r.verdict.outcome, Outcome::kUpdated) << r.verdict.message;
  }
  // Nothing was sent, and another record would fare no better: it is the target that is away.
  void ExpectUnreachable(const BatchResult& r, const std::string& why) {
    EXPECT_EQ(r.verdict.outcome, Outcome::kFailed);
    EXPECT_EQ(r.verdict.failure, FailureClass::kTransient);
    EXPECT_EQ(r.delivery, Delivery::kNotSent) << r.verdict.message;
    EXPECT_TRUE(r.unreachable) << r.verdict.message;
    EXPECT_THAT(r.verdict.message, HasSubstr(why));
    EXPECT_THAT(server_->requests(), IsEmpty());
  }

  std::filesystem::path dir_;
  const Authority authority_;
  const Identity localhost_ = authority_.Issue("DNS:localhost,IP:127.0.0.1");
  TlsSettings settings_;
  std::vector<SecretHeader> secrets_;
  std::string body_ = "{{record}}";
  std::unique_ptr<TlsServer> server_;
  std::unique_ptr<boost::asio::io_context> io_;
  std::unique_ptr<RunTarget> target_;
  std::vector<Record> records_ = {{.position = 0, .key = "17"}};
  std::optional<BatchResult> result_;
};

TEST_F(TlsTest, SendsTheRequestAndReusesItsConnection) {
  ServerWith(localhost_);
  TargetAt("localhost");
  ExpectUpdated(Send());
  ExpectUpdated(Send());
  EXPECT_EQ(server_->accepted(), 1);
  EXPECT_EQ(server_->server_name(), "localhost");
  ASSERT_THAT(server_->requests(), SizeIs(2));
  EXPECT_THAT(server_->requests()[0], testing::StartsWith("POST /17 HTTP/1.1\r\n"));
  EXPECT_THAT(server_->requests()[0], testing::EndsWith("\r\n\r\n{\"key\":\"17\"}"));
}

TEST_F(TlsTest, WithTls12Too) {
  ServerWith(localhost_, TlsServer::Always(kOk), {.max_version = TLS1_2_VERSION});
  TargetAt("localhost");
  ExpectUpdated(Send());
  ExpectUpdated(Send());
  EXPECT_EQ(server_->accepted(), 1);
}

TEST_F(TlsTest, CarriesLongRequestsAndReplies) {
  body_ = "{{records}}";
  records_.assign(3000, {.position = 0, .key = std::string(1000, 'x')});
  ServerWith(localhost_, TlsServer::Always("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" +
                                           std::string(60'000, 'y')));
  TargetAt("localhost", {}, 20s);
  ExpectUpdated(Send());
  ExpectUpdated(Send());
  ASSERT_THAT(server_->requests(), SizeIs(2));
  EXPECT_THAT(server_->requests()[1], SizeIs(testing::Gt(3'000'000U)));
  EXPECT_THAT(server_->requests()[1], testing::EndsWith("xxx\"}]"));
}

TEST_F(TlsTest, AnAddressIsCheckedAgainstTheAddressesOfTheCertificate) {
  ServerWith(localhost_);
  TargetAt("127.0.0.1");
  ExpectUpdated(Send());
  EXPECT_EQ(server_->server_name(), "") << "an address is no server name";
  ServerWith(authority_.Issue("DNS:localhost,IP:127.0.0.2"));
  TargetAt("127.0.0.1");
  ExpectUnreachable(Send(), "IP address mismatch");
}

TEST_F(TlsTest, ACertificateOfAnotherNameIsNotTrusted) {
  ServerWith(authority_.Issue("DNS:orders"));
  TargetAt("localhost");
  ExpectUnreachable(Send(), "the certificate of localhost:" + std::to_string(server_->port()) +
                                " is not trusted: hostname mismatch");
}

TEST_F(TlsTest, TheServerNameStandsInForTheHost) {
  ServerWith(authority_.Issue("DNS:orders"));
  settings_.server_name = "orders";
  TargetAt("127.0.0.1");
  ExpectUpdated(Send());
  EXPECT_EQ(server_->server_name(), "orders");
}

TEST_F(TlsTest, AnExpiredCertificateIsNotTrusted) {
  ServerWith(authority_.Issue("DNS:localhost", -1));
  TargetAt("localhost");
  ExpectUnreachable(Send(), "is not trusted: certificate has expired");
}

TEST_F(TlsTest, ACertificateOfAnotherAuthorityIsNotTrusted) {
  ServerWith(Authority("another").Issue("DNS:localhost"));
  TargetAt("localhost");
  ExpectUnreachable(Send(), "is not trusted: unable to get local issuer certificate");
}

TEST_F(TlsTest, TheSystemsAuthoritiesDoNotCountBesideACaFile) {
  const Authority other("of the system");
  other.WriteTo(dir_ / "system.pem");
  ASSERT_EQ(setenv("SSL_CERT_FILE", (dir_ / "system.pem").c_str(), 1), 0);
  ServerWith(other.Issue("DNS:localhost"));
  TargetAt("localhost");
  const BatchResult with_ca = Send();
  settings_.ca_file.clear();
  TargetAt("localhost");
  unsetenv("SSL_CERT_FILE");
  EXPECT_TRUE(with_ca.unreachable) << with_ca.verdict.message;
  ExpectUpdated(Send());
}

TEST_F(TlsTest, AnOldVersionIsRefused) {
  ServerWith(localhost_, TlsServer::Always(kOk),
             {.min_version = TLS1_VERSION, .max_version = TLS1_1_VERSION});
  TargetAt("localhost");
  ExpectUnreachable(Send(), "TLS with localhost:");
}

TEST_F(TlsTest, AServerWithoutTlsIsNoTarget) {
  ServerWith(localhost_);
  RawServer plain([](int fd, const std::string&, int) { return RawServer::Say(fd, kOk); });
  ASSERT_TRUE(Open(plain.port(), "localhost", {}, 300ms).ok());
  const BatchResult r = Send();
  EXPECT_TRUE(r.unreachable);
  EXPECT_EQ(r.delivery, Delivery::kNotSent);
}

TEST_F(TlsTest, ShowsItsCertificateToAServerThatAsksForIt) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    ServerWith(localhost_, TlsServer::Always(kOk),
               {.max_version = version, .clients_of = authority_.certificate()});
    settings_.cert_file = settings_.key_file = "";
    TargetAt("localhost");
    ExpectUnreachable(Send(),
                      version == TLS1_2_VERSION ? "handshake failure" : "certificate required");

    authority_.Issue("DNS:worker").WriteTo(cert(), key());
    settings_.cert_file = cert();
    settings_.key_file = key();
    TargetAt("localhost");
    ExpectUpdated(Send());
  }
}

TEST_F(TlsTest, ACertificateThatTheServerRefusesIsNoFaultOfARecord) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    ServerWith(localhost_, TlsServer::Always(kOk),
               {.max_version = version, .clients_of = authority_.certificate()});
    Authority("another").Issue("DNS:worker").WriteTo(cert(), key());
    settings_.cert_file = cert();
    settings_.key_file = key();
    TargetAt("localhost");
    ExpectUnreachable(Send(), "unknown ca");
  }
}

TEST_F(TlsTest, LaterConnectionsTakeUpTheSession) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    ServerWith(localhost_, TlsServer::Always(kOk), {.max_version = version});
    EachRequestConnectsAnew();
    for (int i = 0; i < 10; ++i) ExpectUpdated(Send());
    EXPECT_EQ(server_->handshakes(), 10);
    EXPECT_EQ(server_->resumed(), 9);
  }
}

TEST_F(TlsTest, AConnectionThatIsCutInAReplyDoesNotSpoilItsSession) {
  ServerWith(localhost_, [](SSL* ssl, const std::string&, int number) {
    if (number == 2) return TlsServer::Say(ssl, "HTTP/1.1 200 OK\r\nContent-Len") && false;
    return TlsServer::Say(ssl, kOk);
  });
  server_->cuts = true;
  EachRequestConnectsAnew();
  ExpectUpdated(Send());
  EXPECT_EQ(Send().delivery, Delivery::kUnanswered);
  ExpectUpdated(Send());
  EXPECT_EQ(server_->resumed(), 2);
}

TEST_F(TlsTest, ABodyThatEndsWithAGoodbyeIsComplete) {
  ServerWith(localhost_, TlsServer::ThenClose("HTTP/1.1 200 OK\r\n\r\nsome text"));
  TargetAt("localhost");
  ExpectUpdated(Send());
}

TEST_F(TlsTest, ABodyThatEndsWithoutAGoodbyeMayHaveBeenCut) {
  ServerWith(localhost_, TlsServer::ThenClose("HTTP/1.1 200 OK\r\n\r\nsome text"));
  server_->cuts = true;
  TargetAt("localhost");
  const BatchResult r = Send();
  EXPECT_EQ(r.verdict.outcome, Outcome::kFailed);
  EXPECT_EQ(r.delivery, Delivery::kUnanswered);
  EXPECT_THAT(r.verdict.message, HasSubstr("closed the connection before its reply was complete"));
}

TEST_F(TlsTest, AReplyOfKnownLengthNeedsNoGoodbye) {
  ServerWith(localhost_, TlsServer::ThenClose(kOk));
  server_->cuts = true;
  TargetAt("localhost");
  ExpectUpdated(Send());
}

TEST_F(TlsTest, AConnectionThatTheServerEndedIsNotUsedAgain) {
  for (const bool cuts : {false, true}) {
    ServerWith(localhost_, TlsServer::ThenClose(kOk));
    server_->cuts = cuts;
    TargetAt("localhost");
    for (int i = 0; i < 3; ++i) {
      ExpectUpdated(Send());
      RunFor(60ms);
    }
    EXPECT_EQ(server_->accepted(), 3);
  }
}

TEST_F(TlsTest, NewsAboutTheSessionDoNotEndAnIdleConnection) {
  ServerWith(localhost_, [](SSL* ssl, const std::string&, int) {
    const bool said = TlsServer::Say(ssl, kOk);
    std::this_thread::sleep_for(50ms);  // by then the reply has been read
    SSL_new_session_ticket(ssl);
    SSL_do_handshake(ssl);
    return said;
  });
  TargetAt("localhost");
  for (int i = 0; i < 3; ++i) {
    ExpectUpdated(Send());
    RunFor(150ms);
  }
  EXPECT_EQ(server_->accepted(), 1);
}

TEST_F(TlsTest, AServerThatDoesNotShakeHandsIsUnreachableInTime) {
  ServerWith(localhost_);
  server_->hangs = true;
  TargetAt("localhost", {}, 200ms);
  const Time start = std::chrono::steady_clock::now();
  const BatchResult r = Send();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  EXPECT_EQ(r.delivery, Delivery::kNotSent);
  EXPECT_TRUE(r.unreachable);
  EXPECT_EQ(r.verdict.failure, FailureClass::kTimeout);
}

TEST_F(TlsTest, ARequestCanBeWithdrawnDuringTheHandshake) {
  ServerWith(localhost_);
  server_->hangs = true;
  TargetAt("localhost");
  target_->Send({0, ShardId{0}, &records_}, std::chrono::steady_clock::now());
  RunFor(100ms);
  target_->Withdraw();
  RunFor(20ms);
  ASSERT_TRUE(result_);
  EXPECT_TRUE(result_->withdrawn);
}

TEST_F(TlsTest, ASlowReplyIsATimeout) {
  ServerWith(localhost_, [](SSL*, const std::string&, int) { return true; });
  TargetAt("localhost", {}, 300ms);
  const BatchResult r = Send();
  EXPECT_EQ(r.verdict.failure, FailureClass::kTimeout);
  EXPECT_EQ(r.delivery, Delivery::kUnanswered);
}

TEST_F(TlsTest, AnotherAuthorityIsTrustedOnceItsFileIsThere) {
  const Authority next("the next authority");
  ServerWith(localhost_);
  EachRequestConnectsAnew();
  ExpectUpdated(Send());
  next.WriteTo(ca());
  EXPECT_TRUE(Send().unreachable) << "the old one is trusted no more, nor a session with it";
  server_->Present(next.Issue("DNS:localhost"));
  ExpectUpdated(Send());
}

TEST_F(TlsTest, ANewClientCertificateIsShownOnceItsFilesAreThere) {
  ServerWith(localhost_, TlsServer::Always(kOk), {.clients_of = authority_.certificate()});
  Authority("another").Issue("DNS:worker").WriteTo(cert(), key());
  settings_.cert_file = cert();
  settings_.key_file = key();
  EachRequestConnectsAnew();
  ExpectUnreachable(Send(), "unknown ca");
  authority_.Issue("DNS:worker").WriteTo(cert(), key());
  ExpectUpdated(Send());
}

TEST_F(TlsTest, FilesThatCannotBeUsedAfterAChangeLeaveTheOldOnesInPlace) {
  ServerWith(localhost_);
  EachRequestConnectsAnew();
  ExpectUpdated(Send());
  Write("ca.pem", "half a certifi");
  ExpectUpdated(Send());
  std::filesystem::remove(ca());
  ExpectUpdated(Send());
}

TEST_F(TlsTest, ANewTokenIsSentOnceItsFileIsThere) {
  Write("token", "first\n");
  secrets_ = {{.name = "Authorization", .prefix = "Bearer ", .file = dir_ / "token"}};
  ServerWith(localhost_);
  EachRequestConnectsAnew();
  ExpectUpdated(Send());
  Write("token", "the second\n");
  ExpectUpdated(Send());
  ASSERT_THAT(server_->requests(), SizeIs(2));
  EXPECT_THAT(server_->requests()[0], HasSubstr("\r\nAuthorization: Bearer first\r\n"));
  EXPECT_THAT(server_->requests()[1], HasSubstr("\r\nAuthorization: Bearer the second\r\n"));
}

TEST_F(TlsTest, ATokenThatTheReplyRepeatsIsNotPassedOn) {
  Write("token", "s3cr3t\n");
  secrets_ = {{.name = "Authorization", .prefix = "Bearer ", .file = dir_ / "token"}};
  const std::string said =
      R"({"outcomes":[{"key":"17","outcome":"failed","class":"permanent","message":"Bearer s3cr3t is bad"}]})";
  ServerWith(localhost_, TlsServer::Always("HTTP/1.1 200 OK\r\nContent-Length: " +
                                           std::to_string(said.size()) + "\r\n\r\n" + said));
  TargetAt("localhost");
  const BatchResult r = Send();
  ASSERT_THAT(r.records, SizeIs(1));
  EXPECT_THAT(r.records[0].second.message, HasSubstr("Bearer (left out) is bad"));
}

struct BadFile {
  const char* name;
  std::string ca, cert, key, says;
};

TEST_F(TlsTest, AFileThatCannotBeUsedIsNamed) {
  const std::string no = dir_ / "no.pem", text = dir_ / "text.pem";
  Write("text.pem", "this is no certificate\n");
  authority_.Issue("DNS:worker").WriteTo(cert(), key());
  authority_.Issue("DNS:worker").WriteTo(dir_ / "other.pem", dir_ / "other.key");
  const BadFile cases[] = {
      {"no CA file", no, "", "", "tls.caFile: " + no + ": No such file or directory"},
      {"no CA", text, "", "", "tls.caFile: " + text + ": holds no certificate (PEM)"},
      {"no certificate", ca(), text, key(), "tls.certFile: " + text + ": holds no certificate"},
      {"no key file", ca(), cert(), no, "tls.keyFile: " + no + ": No such file or directory"},
      {"no key", ca(), cert(), text, "tls.keyFile: " + text + ": holds no private key"},
      {"the key of another", ca(), cert(), dir_ / "other.key", "of the certificate in certFile"},
  };
  for (const BadFile& c : cases) {
    SCOPED_TRACE(c.name);
    settings_ = {.ca_file = c.ca, .cert_file = c.cert, .key_file = c.key, .server_name = ""};
    const Status opened = Open(443);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(opened.error().message, HasSubstr(c.says));
  }
}

TEST_F(TlsTest, ADryRunFindsAFileThatTheRunCouldNotUse) {
  boost::asio::io_context io(1);
  const RequestTemplate request{.method = "POST",
                                .url = "https://orders/{{key}}",
                                .headers = {},
                                .body = "",
                                .tls = {.ca_file = dir_ / "no.pem"}};
  const auto target = DryRunTarget::Create(
      io, request, {}, {.backfill_name = "b", .backfill_uid = "u", .fields = {}}, OutcomeMap(), {},
      [](std::uint32_t, const BatchResult&) {});
  ASSERT_FALSE(target.ok());
  EXPECT_THAT(target.error().message, HasSubstr("no.pem: No such file or directory"));
}

}  // namespace
}  // namespace backfill::worker
