// Tokens and certificates that are replaced in their files while requests go on, as the kubelet
// does it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/config_maps.h"
#include "tests/operator/kube/cluster/follower.h"
#include "tests/operator/kube/cluster/moved_clock.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using cluster::AuditLine;
using cluster::ControlPlane;
using ::testing::IsEmpty;

// The server remembers a token that it has accepted for 10 s.
constexpr Duration kRefusesWithin = 25s;
constexpr Duration kSoon = 10s;
// Of each that asks. As fast as it can the server writes a log that takes longer to read than all
// the rest of a test.
constexpr auto kPace = 10ms;

// Asks the API server who we are, over and over, by POST, which nobody may send twice by himself.
class Load {
 public:
  Load(HttpTransport& transport, const Clock& clock) : transport_(transport), clock_(clock) {
    for (int i = 0; i < 3; ++i)
      threads_.emplace_back([this](const std::stop_token& stop) { Run(stop); });
  }

  int Seen(const std::string& user) {
    MutexLock l(mu_);
    return seen_[user];
  }
  // Whoever we are now: `more` answers that say so.
  bool GoesOnAs(const std::string& user, int more, Duration within) {
    const int enough = Seen(user) + more;
    return e2e::TimeUntil(within, [&] { return Seen(user) >= enough; }).has_value();
  }
  std::vector<std::string> Failures() {
    MutexLock l(mu_);
    return failures_;
  }

 private:
  void Run(const std::stop_token& stop) {
    const HttpRequest request{
        .method = HttpMethod::kPost,
        .target = "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        .content_type = "application/json",
        .body = R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})"};
    for (; !stop.stop_requested(); std::this_thread::sleep_for(kPace)) {
      // Not cancelled: no request is to be given up but for the credentials' sake.
      const auto response = transport_.Send(request, clock_.Steady() + 1h, {});
      MutexLock l(mu_);
      if (!response.ok()) {
        failures_.push_back(response.error().message);
      } else if (response->status != 201) {
        failures_.push_back(std::to_string(response->status) + " " + response->body);
      } else {
        const auto review = nlohmann::json::parse(response->body);
        ++seen_[review.at("status").at("userInfo").at("username").get<std::string>()];
      }
      if (failures_.size() > 10) return;
    }
  }

  HttpTransport& transport_;
  const Clock& clock_;
  Mutex mu_;
  std::map<std::string, int> seen_ GUARDED_BY(mu_);
  std::vector<std::string> failures_ GUARDED_BY(mu_);
  std::vector<std::jthread> threads_;  // last: they use the rest
};

class CredentialRotationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    Result<ServerAccess> access = ReadAccess(plane_->kubeconfig());
    ASSERT_TRUE(access.ok()) << access.error().message;
    access_ = std::move(access).value();
    auto direct = Connect(access_, "rotation-direct", clock_);
    ASSERT_TRUE(direct.ok()) << direct.error().message;
    maps_.emplace(std::move(direct).value(), "rotation-test-" + id_);
  }

  std::string Run(const std::vector<std::string>& args) {
    const Result<std::string> said = plane_->Kubectl(args);
    EXPECT_TRUE(said.ok()) << said.error().message;
    return said.ok() ? *said : "";
  }
  // At once, as a reader sees it.
  void Replace(const std::string& name, const std::string& text) const {
    e2e::WriteFile(dir_ / (name + ".new"), text);
    std::filesystem::rename(dir_ / (name + ".new"), dir_ / name);
  }
  std::unique_ptr<RestTransport> ConnectBy(CredentialFiles files) {
    ServerAccess access = access_;
    access.credentials = std::move(files);
    auto connected = Connect(access, Agent(), clock_);
    EXPECT_TRUE(connected.ok());
    return connected.ok() ? std::move(connected).value() : nullptr;
  }
  [[nodiscard]] std::string Agent() const { return "rotation-" + id_; }
  std::size_t Refused() {
    const std::vector<AuditLine> lines = plane_->Requests(Agent()).value();
    return static_cast<std::size_t>(std::count_if(
        lines.begin(), lines.end(), [](const AuditLine& line) { return line.code == 401; }));
  }

  const std::string id_ = RandomHex(4);
  const cli::TempDir dir_;
  MovedClock clock_;
  std::optional<ControlPlane> plane_;
  ServerAccess access_;
  std::optional<ConfigMaps> maps_;
};

// R35: the server refuses the old token before the 60 s are over for which it is kept. Who asks
// does not notice, nor does an informer.
TEST_F(CredentialRotationTest, R35_ARefusedTokenIsReadAgainUnderLoad) {
  const auto user = [&](const char* name) {
    return "system:serviceaccount:" + maps_->ns() + ":" + name;
  };
  std::map<std::string, std::string> tokens;
  for (const char* name : {"one", "two"}) {
    Run({"create", "serviceaccount", name, "-n", maps_->ns()});
    Run({"create", "rolebinding", name, "-n", maps_->ns(), "--clusterrole=view",
         "--serviceaccount=" + maps_->ns() + ":" + name});
    tokens[name] = Run({"create", "token", name, "-n", maps_->ns(), "--duration=10m"});
  }
  Replace("token", tokens["one"]);
  const CredentialFiles files{.token_file = dir_ / "token", .ca_pem = access_.credentials.ca_pem};
  const std::unique_ptr<RestTransport> transport = ConnectBy(files);
  ASSERT_NE(transport, nullptr);
  Follower follower(ConnectBy(files), clock_, maps_->ns());
  Load load(*transport, clock_);
  ASSERT_TRUE(load.GoesOnAs(user("one"), 20, kSoon)) << ::testing::PrintToString(load.Failures());
  ASSERT_TRUE(follower.ComesToKnow(maps_->List(), kSoon)) << follower.last_problem();

  Replace("token", tokens["two"]);
  Run({"delete", "serviceaccount", "one", "-n", maps_->ns()});
  ASSERT_TRUE(e2e::TimeUntil(kRefusesWithin, [&] {
    maps_->Stir();
    return load.Seen(user("two")) > 0 || !load.Failures().empty();
  })) << "the old token is still accepted";
  EXPECT_TRUE(load.GoesOnAs(user("two"), 50, kSoon));
  EXPECT_THAT(load.Failures(), IsEmpty());
  EXPECT_TRUE(e2e::TimeUntil(kSoon, [&] { return Refused() > 0; })) << "nothing was refused";
  EXPECT_TRUE(follower.ComesToKnow(maps_->List(), kSoon)) << follower.last_problem();
  EXPECT_THAT(follower.told().Wrong(), IsEmpty());
  EXPECT_EQ(follower.counts().lists, 1U) << follower.last_problem();
}

// R35: files are replaced one by one, and half of them is no reason to stop.
TEST_F(CredentialRotationTest, R35_CertificatesAreReplacedUnderLoad) {
  const Result<ServerAccess> other =
      ReadAccess(plane_->kubeconfig().parent_path() / "pki/kube-scheduler.kubeconfig");
  ASSERT_TRUE(other.ok()) << other.error().message;
  Replace("ca.crt", access_.credentials.ca_pem);
  Replace("client.crt", access_.credentials.certificate_pem);
  Replace("client.key", access_.credentials.key_pem);
  const std::unique_ptr<RestTransport> transport =
      ConnectBy({.ca_file = dir_ / "ca.crt",
                 .certificate_file = dir_ / "client.crt",
                 .key_file = dir_ / "client.key"});
  ASSERT_NE(transport, nullptr);
  Load load(*transport, clock_);
  ASSERT_TRUE(load.GoesOnAs("admin", 20, kSoon)) << ::testing::PrintToString(load.Failures());

  Replace("client.crt", other->credentials.certificate_pem);  // which does not fit the key
  clock_.Move(61s);
  EXPECT_TRUE(load.GoesOnAs("admin", 20, kSoon));
  Replace("client.key", other->credentials.key_pem);
  clock_.Move(61s);
  EXPECT_TRUE(load.GoesOnAs("system:kube-scheduler", 20, kSoon));

  // A new authority, first beside the old one.
  Replace("ca.crt", "");
  clock_.Move(61s);
  EXPECT_TRUE(load.GoesOnAs("system:kube-scheduler", 20, kSoon));
  Replace("ca.crt", other->credentials.certificate_pem + access_.credentials.ca_pem);
  clock_.Move(61s);
  EXPECT_TRUE(load.GoesOnAs("system:kube-scheduler", 20, kSoon));
  EXPECT_THAT(load.Failures(), IsEmpty());
}

}  // namespace
}  // namespace backfill::kube
