#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "file_server.h"
#include "rows/http_source.h"
#include "tests/worker/target/certificates.h"
#include "tests/worker/target/tls_server.h"

namespace backfill::rows {
namespace {

using fakes::Authority;
using fakes::Identity;
using fakes::TlsServer;
using fakes::TlsServerOptions;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kFile[] = "id,price\n1,10\n2,20\n";

// What a server without ranges answers.
bool SayFile(SSL* ssl, const std::string& /*request*/, int /*number*/) {
  return TlsServer::Say(ssl, "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: " +
                                 std::to_string(sizeof kFile - 1) + "\r\n\r\n" + kFile);
}

class HttpsSourceTest : public ::testing::Test {
 protected:
  HttpsSourceTest() {
    std::string path = (std::filesystem::temp_directory_path() / "backfill-https-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) std::abort();
    dir_ = path;
    authority_.WriteTo(dir_ / "ca.pem");
    options_.ca_file = dir_ / "ca.pem";
  }
  ~HttpsSourceTest() override { std::filesystem::remove_all(dir_); }

  void ServerWith(const Identity& identity, TlsServer::Serve serve = SayFile,
                  const TlsServerOptions& options = {}) {
    server_ = std::make_unique<TlsServer>(identity, std::move(serve), options);
  }
  void SecretFileHolds(const std::string& name, const std::string& value) {
    std::ofstream(dir_ / "next") << value;
    std::filesystem::rename(dir_ / "next", dir_ / name);
  }
  [[nodiscard]] std::string Url(const std::string& host = "localhost") const {
    return "https://" + host + ":" + std::to_string(server_->port()) + "/ids.csv";
  }
  static Result<std::string> Read(ByteSource& source) {
    const auto stream = TRY(source.Open(0, kToTheEnd, {}));
    std::string text(1000, '\0');
    std::size_t size = 0;
    for (;;) {
      const std::size_t n = TRY(stream->Read(std::span(text).subspan(size), {}));
      size += n;
      if (n == 0) break;
    }
    text.resize(size);
    return text;
  }
  Result<std::string> ReadFrom(const std::string& url) {
    const auto source = TRY(HttpSource::Open(url, options_, {}));
    return Read(*source);
  }

  std::filesystem::path dir_;
  const Authority authority_;
  const Identity localhost_ = authority_.Issue("DNS:localhost,IP:127.0.0.1");
  std::unique_ptr<TlsServer> server_;
  HttpOptions options_{.retries = 0, .backoff = std::chrono::milliseconds(1)};
};

TEST_F(HttpsSourceTest, ReadsWhatATrustedServerGives) {
  for (const int version : {0, TLS1_2_VERSION}) {
    ServerWith(localhost_, SayFile, {.max_version = version});
    EXPECT_EQ(*ReadFrom(Url()), kFile);
    EXPECT_EQ(server_->server_name(), "localhost");
  }
}

TEST_F(HttpsSourceTest, AConnectionIsUsedAgain) {
  ServerWith(localhost_);
  const auto source = *HttpSource::Open(Url(), options_, {});
  EXPECT_EQ(*Read(*source), kFile);
  EXPECT_EQ(*Read(*source), kFile);
  EXPECT_EQ(server_->accepted(), 1);
}

TEST_F(HttpsSourceTest, ANewConnectionResumesTheSession) {
  ServerWith(localhost_, [](SSL* ssl, const std::string& request, int number) {
    SayFile(ssl, request, number);
    return false;
  });
  const auto source = *HttpSource::Open(Url(), options_, {});
  EXPECT_EQ(*Read(*source), kFile);
  EXPECT_EQ(*Read(*source), kFile);
  EXPECT_GT(server_->resumed(), 0);
}

TEST_F(HttpsSourceTest, WhoCannotBeTrustedIsNotAskedForTheFile) {
  const auto expect_refused = [this](const std::string& url, const std::string& why) {
    const auto read = ReadFrom(url);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(read.error().message, HasSubstr(why));
    EXPECT_THAT(server_->requests(), IsEmpty());
  };
  ServerWith(Authority("another").Issue("DNS:localhost"));
  expect_refused(Url(), "unable to get local issuer certificate");
  ServerWith(authority_.Issue("DNS:orders"));
  expect_refused(Url(), "no alternative certificate subject name matches");
  ServerWith(authority_.Issue("DNS:localhost", -1));
  expect_refused(Url(), "certificate has expired");
  ServerWith(localhost_, SayFile, {.min_version = TLS1_VERSION, .max_version = TLS1_1_VERSION});
  expect_refused(Url(), "protocol version");
  ServerWith(localhost_);
  options_.ca_file = dir_ / "none.pem";
  expect_refused(Url(), "none.pem");
  options_.ca_file.clear();  // the system's do not know the test's authority
  expect_refused(Url(), "certificate");
}

TEST_F(HttpsSourceTest, ShowsItsOwnCertificate) {
  ServerWith(localhost_, SayFile, {.clients_of = authority_.certificate()});
  EXPECT_FALSE(ReadFrom(Url()).ok());
  authority_.Issue("DNS:backfill").WriteTo(dir_ / "cert.pem", dir_ / "key.pem");
  options_.cert_file = dir_ / "cert.pem";
  options_.key_file = dir_ / "key.pem";
  EXPECT_EQ(*ReadFrom(Url()), kFile);
}

TEST_F(HttpsSourceTest, SendsSecretHeadersAsTheyAreNow) {
  ServerWith(localhost_);
  SecretFileHolds("token", "first\n");
  options_.secret_headers = {
      {.name = "Authorization", .prefix = "Bearer ", .file = dir_ / "token"},
      {.name = "X-Api-Key", .prefix = "", .file = dir_ / "token", .base64 = true}};
  const auto source = *HttpSource::Open(Url(), options_, {});
  EXPECT_THAT(server_->requests(), Each(AllOf(HasSubstr("\r\nAuthorization: Bearer first\r\n"),
                                              HasSubstr("\r\nX-Api-Key: Zmlyc3Q=\r\n"))));
  SecretFileHolds("token", "second");
  EXPECT_EQ(*Read(*source), kFile);
  EXPECT_THAT(server_->requests().back(), HasSubstr("\r\nAuthorization: Bearer second\r\n"));
}

TEST_F(HttpsSourceTest, ASecretThatCannotBeReadIsNamedAndIsNoOtherFile) {
  ServerWith(localhost_);
  options_.secret_headers = {{.name = "Authorization", .file = dir_ / "token"}};
  const auto read = ReadFrom(Url());
  EXPECT_EQ(read.error().code, ErrorCode::kUnauthenticated);
  EXPECT_THAT(read.error().message, HasSubstr("source.file.secretHeaders[0]: file: "));
  EXPECT_THAT(server_->requests(), IsEmpty());
}

// Where a redirect leads to was not named by who gave the secret.
TEST_F(HttpsSourceTest, SecretsStayWithTheServerTheyAreFor) {
  TlsServer elsewhere(authority_.Issue("IP:127.0.0.1"), SayFile);
  ServerWith(localhost_, [&](SSL* ssl, const std::string&, int) {
    return TlsServer::Say(ssl, "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:" +
                                   std::to_string(elsewhere.port()) +
                                   "/ids.csv\r\nContent-Length: 0\r\n\r\n");
  });
  SecretFileHolds("token", "s3cr3t");
  options_.secret_headers = {
      {.name = "authorization", .prefix = "Bearer ", .file = dir_ / "token"}};
  EXPECT_EQ(*ReadFrom(Url()), kFile);
  EXPECT_THAT(server_->requests(), Each(HasSubstr("s3cr3t")));
  EXPECT_THAT(elsewhere.requests(), Each(Not(HasSubstr("s3cr3t"))));

  const std::size_t before = elsewhere.requests().size();
  options_.secret_headers.push_back({.name = "X-Api-Key", .file = dir_ / "token"});
  const auto read = ReadFrom(Url());
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message,
              HasSubstr("the server answered 302; redirects are not followed"));
  EXPECT_EQ(elsewhere.requests().size(), before);
}

TEST_F(HttpsSourceTest, NeverRedirectsToAnOpenWay) {
  FileServer open(kFile);
  ServerWith(localhost_, [&](SSL* ssl, const std::string&, int) {
    return TlsServer::Say(
        ssl, "HTTP/1.1 302 Found\r\nLocation: " + open.Url() + "\r\nContent-Length: 0\r\n\r\n");
  });
  EXPECT_FALSE(ReadFrom(Url()).ok());
  EXPECT_EQ(open.requests(), 0);
}

}  // namespace
}  // namespace backfill::rows
