// Certificates that expire, and authorities that are replaced by others, on an API server of the
// test's own. What is replaced under load is in credential_rotation_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/moved_clock.h"
#include "tests/operator/kube/cluster/server_access.h"
#include "tests/worker/target/certificates.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using cluster::OwnControlPlane;
using fakes::Authority;
using fakes::Identity;
using ::testing::HasSubstr;

// The server looks at its files when they change, and each minute.
constexpr Duration kNotices = 70s;

class AuthorityReplacedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = cluster::ControlPlane::WhyNone()) GTEST_SKIP() << *why;
    Result<OwnControlPlane> plane = OwnControlPlane::Start(dir_ / "plane");
    ASSERT_TRUE(plane.ok()) << plane.error().message;
    plane_.emplace(std::move(plane).value());
    Result<ServerAccess> access = ReadAccess(plane_->kubeconfig());
    ASSERT_TRUE(access.ok()) << access.error().message;
    access_ = std::move(access).value();
  }

  [[nodiscard]] std::filesystem::path Pki(const std::string& name) const {
    return plane_->kubeconfig().parent_path() / "pki" / name;
  }
  // At once, as a reader sees it.
  static void Replace(const std::filesystem::path& file, const std::string& text) {
    e2e::WriteFile(file.string() + ".new", text);
    std::filesystem::rename(file.string() + ".new", file);
  }
  std::unique_ptr<RestTransport> ConnectBy(CredentialFiles files) {
    ServerAccess access = access_;
    access.credentials = std::move(files);
    auto connected = Connect(access, "authority-test", clock_);
    EXPECT_TRUE(connected.ok());
    return connected.ok() ? std::move(connected).value() : nullptr;
  }
  // Who we are for the server, or why it does not say so.
  std::string WhoIs(HttpTransport& transport) {
    const HttpRequest request{
        .method = HttpMethod::kPost,
        .target = "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        .content_type = "application/json",
        .body = R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})"};
    const auto response = transport.Send(request, clock_.Steady() + 20s, {});
    if (!response.ok())
      return std::string(ToString(response.error().code)) + ": " + response.error().message;
    if (response->status != 201) return std::to_string(response->status) + " " + response->body;
    const auto review = nlohmann::json::parse(response->body, nullptr, false);
    return review.at("status").at("userInfo").at("username").get<std::string>();
  }
  bool ComesToSay(HttpTransport& transport, const std::string& text, Duration within) {
    return e2e::TimeUntil(within, [&] { return WhoIs(transport).find(text) != std::string::npos; })
        .has_value();
  }

  const cli::TempDir dir_;
  MovedClock clock_;
  std::optional<OwnControlPlane> plane_;
  ServerAccess access_;
};

TEST_F(AuthorityReplacedTest, R35_AnExpiredCertificateIsNamedAndItsSuccessorTakenUp) {
  const Authority authority("of clients");
  authority.WriteTo(dir_ / "clients.crt");
  Replace(Pki("ca.crt"), e2e::ReadFile(Pki("ca.crt")) + e2e::ReadFile(dir_ / "clients.crt"));
  const auto become = [&](const std::string& user, int days) {
    authority.Issue("DNS:client", days, user).WriteTo(dir_ / "client.crt", dir_ / "client.key");
  };
  const CredentialFiles files{.ca_pem = access_.credentials.ca_pem,
                              .certificate_file = dir_ / "client.crt",
                              .key_file = dir_ / "client.key"};
  become("early", 1);
  const auto transport = ConnectBy(files);
  ASSERT_NE(transport, nullptr);
  ASSERT_TRUE(ComesToSay(*transport, "early", kNotices)) << WhoIs(*transport);

  become("late", -1);
  clock_.Move(61s);
  EXPECT_THAT(WhoIs(*transport), HasSubstr("the client certificate expired at "));
  const auto started_late = ConnectBy(files);
  EXPECT_THAT(WhoIs(*started_late), HasSubstr("the client certificate expired at "));

  become("renewed", 1);  // seen when the old one is refused, without another minute's wait
  clock_.Move(2s);
  EXPECT_EQ(WhoIs(*transport), "renewed");
  EXPECT_EQ(WhoIs(*started_late), "renewed");
}

TEST_F(AuthorityReplacedTest, R35_AnAuthorityGivesWayToAnotherWithoutARestart) {
  Replace(dir_ / "ca.crt", access_.credentials.ca_pem);
  CredentialFiles files = access_.credentials;
  const auto keeps = ConnectBy(files);
  files.ca_pem = "";
  files.ca_file = dir_ / "ca.crt";
  const auto rotates = ConnectBy(files);
  EXPECT_EQ(WhoIs(*keeps), "admin");
  EXPECT_EQ(WhoIs(*rotates), "admin");

  const Authority next("next");
  next.Issue("IP:127.0.0.1,DNS:localhost")
      .WriteTo(Pki("kube-apiserver.crt"), Pki("kube-apiserver.key"));
  const auto newcomer = [&] {
    const auto transport = ConnectBy(access_.credentials);
    return WhoIs(*transport);
  };
  ASSERT_TRUE(e2e::TimeUntil(kNotices, [&] {
    return newcomer().find("the server's certificate") != std::string::npos;
  })) << newcomer();

  // Connections that are open go on; after a while they are made anew.
  next.WriteTo(dir_ / "ca.crt");
  clock_.Move(61s);
  EXPECT_EQ(WhoIs(*rotates), "admin");
  EXPECT_THAT(WhoIs(*keeps), HasSubstr("the server's certificate"));
  clock_.Move(61s);
  EXPECT_EQ(WhoIs(*rotates), "admin");
}

}  // namespace
}  // namespace backfill::kube
