// TLS, tokens and certificates that change, against a server with certificates of its own making.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "tests/operator/kube/client/rest_fixture.h"
#include "tests/worker/target/certificates.h"
#include "tests/worker/target/raw_server.h"
#include "tests/worker/target/tls_server.h"

namespace backfill::kube {
namespace {

using fakes::Authority;
using fakes::Identity;
using fakes::RawServer;
using fakes::TlsServer;
using fakes::TlsServerOptions;
using std::chrono::seconds;
using testing::IsEmpty;
using testing::SizeIs;

TlsServer::Serve Always(std::string reply) {
  return [reply = std::move(reply)](SSL* ssl, const std::string&, int) {
    return TlsServer::Say(ssl, reply);
  };
}

class RestTlsTest : public RestFixture {
 protected:
  RestTlsTest() {
    std::string path = (std::filesystem::temp_directory_path() / "backfill-rest-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) std::abort();
    dir_ = path;
    authority_.WriteTo(ca());
    files_.ca_file = ca();
    // The system has one authority here: no 144 to be read for each connection.
    system_.WriteTo(dir_ / "system.crt");
    ::setenv("SSL_CERT_FILE", (dir_ / "system.crt").c_str(), 1);
    ::setenv("SSL_CERT_DIR", (dir_ / "none").c_str(), 1);
  }
  ~RestTlsTest() override {
    Close();
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
    std::filesystem::remove_all(dir_);
  }
  void Close() {
    transport_.reset();
    server_.reset();
  }
  [[nodiscard]] std::string ca() const { return dir_ / "ca.crt"; }
  [[nodiscard]] std::string cert() const { return dir_ / "tls.crt"; }
  [[nodiscard]] std::string key() const { return dir_ / "tls.key"; }
  [[nodiscard]] std::string token() const { return dir_ / "token"; }
  void Write(const std::string& file, const std::string& text) const {
    std::ofstream(file + ".next") << text;
    std::filesystem::rename(file + ".next", file);
  }

  void ServeAs(const Identity& identity, TlsServer::Serve serve = Always(Reply("ok")),
               const TlsServerOptions& options = {}) {
    Close();
    server_ = std::make_unique<TlsServer>(identity, std::move(serve), options);
  }
  void ConnectTo(const std::string& host, RestOptions options = {}) {
    options.server = "https://" + host + ":" + std::to_string(server_->port());
    Connect(0, std::move(options), MakeFileCredentials(files_));
  }

  std::filesystem::path dir_;
  const Authority authority_;
  const Authority system_{"system"};
  const Identity good_ = authority_.Issue("DNS:localhost,IP:127.0.0.1");
  CredentialFiles files_;
  std::unique_ptr<TlsServer> server_;
};

TEST_F(RestTlsTest, TalksToAServerThatShowsWhoItIs) {
  ServeAs(good_);
  for (const char* host : {"127.0.0.1", "localhost"}) {
    ConnectTo(host);
    for (int i = 0; i < 3; ++i) {
      const auto response = Get();
      ASSERT_TRUE(response.ok()) << response.error().message;
      EXPECT_EQ(response->body, "ok");
    }
  }
  EXPECT_EQ(server_->server_name(), "localhost");
}

TEST_F(RestTlsTest, KeepsItsConnection) {
  ServeAs(good_);
  ConnectTo("127.0.0.1");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Get().ok());
  EXPECT_EQ(server_->handshakes(), 1);
}

TEST_F(RestTlsTest, R32_BelievesTheSystemOnlyWithoutAnAuthorityOfItsOwn) {
  ServeAs(system_.Issue("IP:127.0.0.1"));
  ConnectTo("127.0.0.1");
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnauthenticated, "certificate"), "");
  files_.ca_file = "";
  ConnectTo("127.0.0.1");
  EXPECT_TRUE(Get().ok());
}

TEST_F(RestTlsTest, BelievesNobodyElse) {
  struct Case {
    Identity identity;
    const char* why;
  };
  for (const auto& [identity, why] : {
           Case{Authority("another").Issue("DNS:localhost,IP:127.0.0.1"), "certificate"},
           Case{authority_.Issue("DNS:localhost,IP:127.0.0.1", -1), "expired"},
           Case{authority_.Issue("DNS:elsewhere,IP:127.0.0.2"), "another host name"},
       }) {
    SCOPED_TRACE(why);
    ServeAs(identity);
    for (const char* host : {"127.0.0.1", "localhost"}) {
      ConnectTo(host);
      EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnauthenticated, why), "");
      EXPECT_THAT(server_->requests(), IsEmpty());
    }
  }
}

TEST_F(RestTlsTest, ANameOfItsOwnIsCheckedInPlaceOfTheHost) {
  ServeAs(authority_.Issue("DNS:kubernetes.default.svc"));
  ConnectTo("127.0.0.1", {.tls_server_name = "kubernetes.default.svc"});
  ASSERT_TRUE(Get().ok());
  EXPECT_EQ(server_->server_name(), "kubernetes.default.svc");
  ConnectTo("127.0.0.1", {.tls_server_name = "kubernetes.other.svc"});
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnauthenticated), "");
}

TEST_F(RestTlsTest, NoneIsCheckedWhereThatWasAskedFor) {
  ServeAs(Authority("another").Issue("DNS:elsewhere"));
  ConnectTo("127.0.0.1", {.skip_tls_verify = true});
  EXPECT_TRUE(Get().ok());
}

TEST_F(RestTlsTest, TlsIs12AtLeast) {
  ServeAs(good_, Always(Reply("ok")), {.min_version = TLS1_VERSION, .max_version = TLS1_1_VERSION});
  ConnectTo("127.0.0.1");
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnavailable), "");
  ServeAs(good_, Always(Reply("ok")), {.max_version = TLS1_2_VERSION});
  ConnectTo("127.0.0.1");
  EXPECT_TRUE(Get().ok());
}

TEST_F(RestTlsTest, ShowsTheCertificateOfTheClient) {
  ServeAs(good_, Always(Reply("ok")), {.clients_of = authority_.certificate()});
  ConnectTo("127.0.0.1");
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnavailable), "");
  authority_.Issue("DNS:operator").WriteTo(cert(), key());
  files_.certificate_file = cert();
  files_.key_file = key();
  ConnectTo("127.0.0.1");
  EXPECT_TRUE(Get().ok());
}

TEST_F(RestTlsTest, R35_AnAuthorityThatWasReplacedIsReadWithoutARestart) {
  ServeAs(good_);
  ConnectTo("127.0.0.1");
  ASSERT_TRUE(Get().ok());
  const Authority next("next");
  server_->Present(next.Issue("IP:127.0.0.1"));
  // What is connected stays so; what is not meets a stranger, until the file says who it is.
  Close();
  ServeAs(next.Issue("IP:127.0.0.1"));
  ConnectTo("127.0.0.1");
  EXPECT_EQ(FailsWith(Send(HttpMethod::kPost, "/x", "{}"), ErrorCode::kUnauthenticated), "");
  next.WriteTo(ca());
  ASSERT_TRUE(Eventually([&] { return Send(HttpMethod::kPost, "/x", "{}").ok(); }));
  EXPECT_THAT(server_->requests(), SizeIs(1));
}

TEST_F(RestTlsTest, R35_ATokenThatWasReplacedIsReadWithoutARestart) {
  Write(token(), "old\n");
  files_.token_file = token();
  ServeAs(good_, [](SSL* ssl, const std::string& request, int) {
    const bool known = request.find("Bearer new\r\n") != std::string::npos;
    return TlsServer::Say(ssl, Reply("x", "", known ? "200 OK" : "401 Unauthorized"));
  });
  ConnectTo("127.0.0.1");
  EXPECT_EQ(Get()->status, 401);
  Write(token(), "new\n");
  ASSERT_TRUE(Eventually([&] { return Get()->status == 200; }));
}

TEST_F(RestTlsTest, R35_ACertificateThatWasReplacedMakesANewConnection) {
  authority_.Issue("DNS:first").WriteTo(cert(), key());
  files_.certificate_file = cert();
  files_.key_file = key();
  std::atomic<bool> refuse{false};
  ServeAs(good_, [&](SSL* ssl, const std::string&, int) {
    return TlsServer::Say(ssl, Reply("x", "", refuse ? "401 Unauthorized" : "200 OK"));
  });
  ConnectTo("127.0.0.1");
  ASSERT_EQ(Get()->status, 200);
  ASSERT_EQ(server_->handshakes(), 1);
  authority_.Issue("DNS:second").WriteTo(cert(), key());
  refuse = true;
  EXPECT_EQ(Get()->status, 401);  // twice
  EXPECT_EQ(server_->handshakes(), 2);
  EXPECT_THAT(server_->requests(), SizeIs(3));
  Close();
}

TEST_F(RestTlsTest, R35_ARefusalIsExplainedByACertificateThatHasExpired) {
  ServeAs(good_, Always("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"));
  files_.certificate_file = cert();
  files_.key_file = key();
  authority_.Issue("DNS:client", -1).WriteTo(cert(), key());
  ConnectTo("127.0.0.1");
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnauthenticated, "the client certificate expired at 20"),
            "");
  authority_.Issue("DNS:client").WriteTo(cert(), key());  // refused for another reason
  ConnectTo("127.0.0.1");
  const auto refused = Get();
  ASSERT_TRUE(refused.ok()) << refused.error().message;
  EXPECT_EQ(refused->status, 401);
}

TEST_F(RestTlsTest, AConnectionThatIsCutIsNoEnd) {
  ServeAs(good_, [](SSL* ssl, const std::string&, int) {
    TlsServer::Say(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    return false;
  });
  server_->cuts = true;
  ConnectTo("127.0.0.1");
  const auto cut = Get();
  EXPECT_EQ(FailsWith(cut, ErrorCode::kUnavailable), "");
  // The number that TLS has for this is that of "Operation not permitted" elsewhere.
  EXPECT_EQ(cut.error().message.find("permitted"), std::string::npos) << cut.error().message;
}

TEST_F(RestTlsTest, R32_NoWriteIsSentTwiceWhenAReusedConnectionDies) {
  for (const bool cuts : {false, true}) {
    ServeAs(good_, [](SSL* ssl, const std::string&, int number) {
      return number != 2 && TlsServer::Say(ssl, Reply("x"));
    });
    server_->cuts = cuts;
    ConnectTo("127.0.0.1");
    ASSERT_TRUE(Get().ok());
    EXPECT_EQ(FailsWith(Send(HttpMethod::kPost, "/jobs", "{}"), ErrorCode::kUnavailable,
                        "connection was lost"),
              "");
    EXPECT_EQ(server_->handshakes(), 1);
    EXPECT_THAT(server_->requests(), SizeIs(2));
  }
}

TEST_F(RestTlsTest, R33_WhatTheLibraryKeepsToItselfIsBoundedToo) {
  ServeAs(good_, [](SSL* ssl, const std::string&, int) {
    TlsServer::Say(ssl, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n");
    if (SayTooMuch([ssl](const std::string& piece) { return TlsServer::Say(ssl, piece); }))
      HoldUntilClosed(SSL_get_fd(ssl));
    return false;
  });
  ConnectTo("127.0.0.1");
  EXPECT_EQ(FailsWith(Send(HttpRequest{.target = "/x"}, seconds(60)), ErrorCode::kInvalid), "");
  Close();
}

// Passes bytes on, both ways, until one side has had enough.
void Relay(int fd, int port) {
  const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  bool open = ::connect(other, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;  // NOLINT
  pollfd ends[2] = {{.fd = fd, .events = POLLIN, .revents = 0},
                    {.fd = other, .events = POLLIN, .revents = 0}};
  char buffer[4096];
  while (open && ::poll(ends, 2, -1) > 0) {
    for (int i = 0; i < 2; ++i) {
      if (ends[i].revents == 0) continue;
      const ssize_t n = ::recv(ends[i].fd, buffer, sizeof buffer, 0);
      open = open && n > 0 &&
             ::send(ends[1 - i].fd, buffer, static_cast<std::size_t>(n), MSG_NOSIGNAL) == n;
    }
  }
  ::close(other);
}

TEST_F(RestTlsTest, R36_GoesThroughAProxyAndStillKnowsTheServer) {
  ServeAs(good_);
  RawServer proxy([this](int fd, const std::string& request, int) {
    if (!request.starts_with("CONNECT 127.0.0.1:")) return false;
    RawServer::Say(fd, "HTTP/1.1 200 Connected\r\n\r\n");
    Relay(fd, server_->port());
    return false;
  });
  ConnectTo("127.0.0.1", {.proxy_url = "http://127.0.0.1:" + std::to_string(proxy.port())});
  for (int i = 0; i < 2; ++i) {
    const auto response = Send(HttpMethod::kPost, "/x", "{}");
    ASSERT_TRUE(response.ok()) << response.error().message;
    EXPECT_EQ(response->body, "ok");
  }
  EXPECT_EQ(proxy.accepted(), 2);  // a connection that cannot be looked at is not kept
  Close();
}

TEST_F(RestTlsTest, R36_AProxyThatRefusesOrHangsIsNoServer) {
  ServeAs(good_);
  RawServer proxy([](int fd, const std::string&, int number) {
    if (number == 1) return RawServer::Say(fd, "HTTP/1.1 403 Forbidden\r\n\r\n");
    HoldUntilClosed(fd);
    return false;
  });
  ConnectTo("127.0.0.1", {.proxy_url = "http://127.0.0.1:" + std::to_string(proxy.port())});
  EXPECT_EQ(FailsWith(Get(), ErrorCode::kUnavailable), "");
  EXPECT_EQ(FailsWith(Send(HttpMethod::kGet, "/x", "", std::chrono::milliseconds(200)),
                      ErrorCode::kDeadline),
            "");
  EXPECT_LT(took_, seconds(2));
  Close();
}

TEST_F(RestTlsTest, R32_ADeadlineCoversAHandshakeThatDoesNotEnd) {
  ServeAs(good_);
  server_->hangs = true;
  ConnectTo("127.0.0.1");
  EXPECT_EQ(FailsWith(Send(HttpMethod::kGet, "/x", "", std::chrono::milliseconds(200)),
                      ErrorCode::kDeadline),
            "");
  EXPECT_LT(took_, seconds(2));
}

}  // namespace
}  // namespace backfill::kube
