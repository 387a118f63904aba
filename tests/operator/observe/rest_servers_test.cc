// Servers of metrics that misbehave, and credentials in files, over real sockets.
#include "operator/observe/rest_servers.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "operator/kube/client/rest_transport.h"
#include "operator/observe/source_factory.h"
#include "tests/operator/kube/temp_dir.h"
#include "tests/worker/target/certificates.h"
#include "tests/worker/target/raw_server.h"
#include "tests/worker/target/tls_server.h"

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using fakes::RawServer;
using fakes::TlsServer;
using testing::HasSubstr;
using testing::Not;
using throttle::Answer;

const std::string kTwo =
    R"({"status":"success","data":{"resultType":"scalar","result":[1.5,"2"]}})";

std::string ReplyOf(std::string_view body, std::string_view status = "200 OK",
                    std::string_view headers = "") {
  return fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers,
                     body);
}

class RestServersTest : public testing::Test {
 protected:
  void ServeText(const std::string& text) {
    Serve([text](int fd, const std::string&, int) { return RawServer::Say(fd, text) && false; });
  }
  void Serve(RawServer::Serve serve) { raw_.emplace(std::move(serve)); }

  Reply Ask(PrometheusQuery query, Duration within = 5s) {
    query.query = "up";
    auto source = sources_.Make(query);
    EXPECT_TRUE(source.ok()) << source.error().message;
    const Time begin = clock_.Steady();
    const Reply reply = (*source)->Ask(begin + within, stop_.get_token());
    took_ = clock_.Steady() - begin;
    return reply;
  }
  Reply AskRaw(Duration within = 5s) {
    return Ask({.addresses = {fmt::format("http://127.0.0.1:{}", raw_->port())}}, within);
  }
  Reply AskTls() { return Ask({.addresses = {Tls()}, .credentials = "prom"}); }
  std::string Tls() const { return fmt::format("https://localhost:{}", tls_->port()); }
  void ServeTls(TlsServer::Serve serve, const fakes::TlsServerOptions& options = {}) {
    tls_.emplace(authority_.Issue("DNS:localhost"), std::move(serve), options);
    Mount("servers", Tls() + "/\n");
    authority_.WriteTo(Folder() / "ca.crt");
  }
  static TlsServer::Serve Always(const std::string& reply) {
    return [reply](SSL* ssl, const std::string&, int) { return TlsServer::Say(ssl, reply); };
  }
  std::filesystem::path Folder() {
    std::filesystem::create_directories(dir_.path() / "prom");
    return dir_.path() / "prom";
  }
  void Mount(const std::string& file, const std::string& text) {
    std::ofstream(Folder() / file) << text;
  }

  SystemClock clock_;
  kube::TempDir dir_;
  fakes::Authority authority_;
  SignalBoard board_;
  std::stop_source stop_;
  Duration took_{};
  std::optional<RawServer> raw_;
  std::optional<TlsServer> tls_;
  RestServers servers_{{.credentials_folder = dir_.path().string()}, clock_};
  MetricSources sources_{servers_, board_, clock_};
};

TEST_F(RestServersTest, AsksOverOneConnection) {
  Serve([](int fd, const std::string&, int) { return RawServer::Say(fd, ReplyOf(kTwo)); });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(AskRaw().observation.value, 2);
  EXPECT_EQ(raw_->accepted(), 1);
  EXPECT_THAT(raw_->requests().at(0), testing::StartsWith("POST /api/v1/query HTTP/1.1\r\n"));
  EXPECT_THAT(raw_->requests().at(0), HasSubstr("\r\n\r\nquery=up&timeout="));
}

TEST_F(RestServersTest, ARedirectIsNotFollowed) {
  Serve([](int fd, const std::string&, int) {
    return RawServer::Say(fd, ReplyOf("", "307 Temporary Redirect", "Location: /elsewhere\r\n"));
  });
  const Reply reply = AskRaw();
  EXPECT_TRUE(reply.provider_failed);
  EXPECT_THAT(reply.observation.detail, HasSubstr("redirects are not followed"));
  EXPECT_EQ(raw_->requests().size(), 1U);
}

TEST_F(RestServersTest, WhatIsNoAnswerOfPrometheusIsTheProvidersFault) {
  const std::string texts[] = {
      "",
      "SSH-2.0-OpenSSH_9.2\r\n",
      ReplyOf("<html>welcome</html>"),
      ReplyOf("", "503 Service Unavailable"),
      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + kTwo,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"status\":\"s\r\n",
      ReplyOf(kTwo.substr(0, 40)),
      "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + kTwo,
  };
  for (const std::string& text : texts) {
    ServeText(text);
    const Reply reply = AskRaw();
    EXPECT_EQ(reply.observation.answer, Answer::kError) << text;
    EXPECT_TRUE(reply.provider_failed) << text;
    EXPECT_THAT(reply.observation.detail, HasSubstr("http://127.0.0.1:")) << "who it was";
  }
}

TEST_F(RestServersTest, WhatIsTooLargeIsNotRead) {
  ServeText("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + std::string(1000, ' '));
  const Reply announced = AskRaw();
  EXPECT_EQ(announced.observation.answer, Answer::kError);
  EXPECT_FALSE(announced.provider_failed) << "another question may have a shorter answer";
  Serve([](int fd, const std::string&, int) {
    RawServer::Say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    const std::string piece(1 << 16, ' ');
    for (int i = 0; i < 1000 && RawServer::Say(fd, piece); ++i) continue;
    return false;
  });
  EXPECT_EQ(AskRaw().observation.answer, Answer::kError);
}

TEST_F(RestServersTest, ADeadlineCoversAServerThatIsSilentOrSlow) {
  Serve([&](int, const std::string&, int) {
    std::this_thread::sleep_for(1500ms);
    return false;
  });
  Reply reply = AskRaw(300ms);
  EXPECT_TRUE(reply.provider_failed);
  EXPECT_THAT(reply.observation.detail, HasSubstr("no response in time"));
  EXPECT_LT(took_, 1400ms);
  Serve([&](int fd, const std::string&, int) {
    RawServer::Say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 30 && RawServer::Say(fd, " "); ++i) std::this_thread::sleep_for(50ms);
    return false;
  });
  reply = AskRaw(300ms);
  EXPECT_TRUE(reply.provider_failed);
  EXPECT_LT(took_, 1400ms);
}

TEST_F(RestServersTest, NobodyThereIsTheProvidersFault) {
  ServeText("");
  const int port = raw_->port();
  raw_.reset();
  const Reply reply = Ask({.addresses = {fmt::format("http://127.0.0.1:{}", port)}});
  EXPECT_TRUE(reply.provider_failed);
  EXPECT_THAT(reply.observation.detail, HasSubstr("onnect"));
}

// ---- credentials

TEST_F(RestServersTest, ATokenIsSentOverTlsToTheServerThatItIsFor) {
  ServeTls(Always(ReplyOf(kTwo)));
  Mount("token", "t0ken-s3cret\n");
  EXPECT_EQ(AskTls().observation.value, 2);
  EXPECT_THAT(tls_->requests().at(0), HasSubstr("\r\nAuthorization:Bearer t0ken-s3cret\r\n"));
}

TEST_F(RestServersTest, APasswordIsSentAsBasic) {
  ServeTls(Always(ReplyOf(kTwo)));
  Mount("username", "Aladdin\n");
  Mount("password", "open sesame\n");
  EXPECT_EQ(AskTls().observation.value, 2);
  EXPECT_THAT(tls_->requests().at(0),
              HasSubstr("\r\nAuthorization:Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
}

TEST_F(RestServersTest, AClientCertificateIsShown) {
  ServeTls(Always(ReplyOf(kTwo)), {.clients_of = authority_.certificate()});
  EXPECT_TRUE(AskTls().provider_failed);
  authority_.Issue("DNS:client").WriteTo(Folder() / "tls.crt", Folder() / "tls.key");
  RestServers again({.credentials_folder = dir_.path().string()}, clock_);
  MetricSources sources(again, board_, clock_);
  auto source =
      sources.Make(PrometheusQuery{.addresses = {Tls()}, .query = "up", .credentials = "prom"});
  EXPECT_EQ((*source)->Ask(clock_.Steady() + 5s, {}).observation.value, 2);
}

TEST_F(RestServersTest, ATokenThatWasReplacedIsReadAgainWhenTheOldOneIsRefused) {
  ServeTls([](SSL* ssl, const std::string& request, int) {
    const bool good = request.find("Bearer new") != std::string::npos;
    return TlsServer::Say(ssl, good ? ReplyOf(kTwo) : ReplyOf("", "401 Unauthorized"));
  });
  Mount("token", "old");
  const Reply refused = AskTls();
  EXPECT_TRUE(refused.provider_failed);
  EXPECT_THAT(refused.observation.detail, HasSubstr("credentials are not accepted"));
  Mount("token", "new");
  std::this_thread::sleep_for(1100ms);  // files are looked at once a second
  EXPECT_EQ(AskTls().observation.value, 2);
}

TEST_F(RestServersTest, CredentialsGoNowhereElse) {
  ServeTls(Always(ReplyOf(kTwo)));
  Mount("token", "t0ken-s3cret");
  Mount("servers", "https://prometheus.monitoring:9090 https://localhost:1\n");
  const Reply reply = AskTls();
  EXPECT_EQ(reply.observation.answer, Answer::kError);
  EXPECT_THAT(reply.observation.detail, HasSubstr("does not name https://localhost:"));
  EXPECT_EQ(tls_->accepted(), 0);
}

TEST_F(RestServersTest, AServerOfAnotherAuthorityIsNotBelieved) {
  ServeTls(Always(ReplyOf(kTwo)));
  Mount("token", "t0ken-s3cret");
  fakes::Authority("other").WriteTo(Folder() / "ca.crt");
  const Reply reply = AskTls();
  EXPECT_TRUE(reply.provider_failed);
  EXPECT_THAT(reply.observation.detail, HasSubstr("certificate"));
  EXPECT_TRUE(tls_->requests().empty());
}

TEST_F(RestServersTest, CredentialsThatCannotBeUsedAreNamedAndNotShown) {
  ServeTls(Always(ReplyOf(kTwo)));
  const auto problem = [&] {
    RestServers servers({.credentials_folder = dir_.path().string()}, clock_);
    MetricSources sources(servers, board_, clock_);
    auto source =
        sources.Make(PrometheusQuery{.addresses = {Tls()}, .query = "up", .credentials = "prom"});
    return (*source)->Ask(clock_.Steady() + 5s, {}).observation.detail;
  };
  Mount("username", "u");
  EXPECT_THAT(problem(), HasSubstr("needs both or none"));
  Mount("password", "s3cret\x01");
  EXPECT_THAT(problem(), testing::AllOf(HasSubstr("password"), Not(HasSubstr("s3cret"))));
  Mount("password", "s3cret");
  Mount("token", "s3cret");
  EXPECT_THAT(problem(),
              testing::AllOf(HasSubstr("a token and a password"), Not(HasSubstr("s3cret"))));
  std::filesystem::remove_all(Folder());
  EXPECT_THAT(problem(), HasSubstr("there are no such credentials"));
  EXPECT_EQ(tls_->accepted(), 0);
}

TEST_F(RestServersTest, WithoutAFolderThereAreNoCredentials) {
  RestServers servers({}, clock_);
  const auto to = servers.To("https://localhost:1", "prom");
  ASSERT_FALSE(to.ok());
  EXPECT_EQ(to.error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(servers_.To("https://localhost:1", "../prom").ok());
  EXPECT_FALSE(servers_.To("localhost", "").ok());
}

TEST_F(RestServersTest, ServersAreCounted) {
  RestServers servers({.max_servers = 2}, clock_);
  EXPECT_TRUE(servers.To("http://a", "").ok());
  EXPECT_TRUE(servers.To("http://b", "").ok());
  EXPECT_TRUE(servers.To("http://a", "").ok());
  const auto more = servers.To("http://c", "");
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace backfill::observe
