// Certificates on a real API server, with the rights that the chart gives and no other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "operator/certificates/ca_publisher.h"
#include "operator/certificates/certificate_keeper.h"
#include "tests/e2e/process.h"
#include "tests/operator/certificates/limited_operator.h"
#include "tests/operator/certificates/verification.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;
using cluster::ControlPlane;
using nlohmann::json;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Duration kOnServer = 20s;

class LeadsHere final : public coordinator::Leadership {
 public:
  [[nodiscard]] bool Valid(Time) const override { return leads; }
  std::atomic<bool> leads{false};
};

class CertificateClusterTest : public ::testing::Test {
 protected:
  struct Replica {
    Replica(LimitedOperator& rights, const Clock& clock, bool leads)
        : watches(rights.Connect()), rest(rights.Connect()), api(*rest, nullptr) {
      leadership.leads = leads;
      keeper = std::make_unique<CertificateKeeper>(
          *watches, api, clock, leadership,
          CertificateKeeperOptions{
              .certificates = {.secret = {.ns = rights.ns(), .name = "backfill-operator-tls"},
                               .names = ServerNames("backfill-coordinator", rights.ns()),
                               .policy = {}},
              .watch = {},
              .look_every = 50ms});
      publisher = std::make_unique<CaPublisher>(
          api, clock, *keeper, leadership,
          CaPublisherOptions{.look_again = 0s, .refresh_every = 50ms});
      keeper->Start();
      publisher->Start();
    }
    ~Replica() {
      publisher->Stop();
      keeper->Stop();
    }
    [[nodiscard]] std::string Chain() const {
      const auto current = keeper->Current();
      return current == nullptr ? "" : current->chain;
    }

    std::unique_ptr<kube::RestTransport> watches, rest;
    kube::ApiClient api;
    LeadsHere leadership;
    std::unique_ptr<CertificateKeeper> keeper;
    std::unique_ptr<CaPublisher> publisher;
  };

  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
  }
  static bool Comes(const std::function<bool()>& holds) {
    return e2e::TimeUntil(kOnServer, holds).has_value();
  }

  SystemClock clock_;
  std::optional<ControlPlane> plane_;
};

TEST_F(CertificateClusterTest, TheLeaderFillsTheSecretAndPublishesAndAllServeIt) {
  LimitedOperator rights(*plane_);
  Replica leader(rights, clock_, true);
  Replica follower(rights, clock_, false);
  ASSERT_TRUE(Comes([&] { return !leader.Chain().empty(); }));
  ASSERT_TRUE(Comes([&] { return follower.Chain() == leader.Chain(); }));
  const Status published = leader.publisher->Publish(rights.workers());
  ASSERT_TRUE(published.ok()) << published.error().message;
  const auto bundle = [&] {
    const json map = json::parse(rights.Kubectl(
        {"get", "configmap", "backfill-operator-ca", "-n", rights.workers(), "-o", "json"}));
    return map["data"].value("ca.crt", "");
  };
  EXPECT_EQ(WhyNoHandshake(*follower.keeper->Current(), bundle(),
                           "backfill-coordinator." + rights.ns() + ".svc", clock_.Wall()),
            "");

  // Somebody empties the Secret: all comes again, to all.
  const std::string before = leader.Chain();
  rights.Kubectl({"patch", "secret", "backfill-operator-tls", "-n", rights.ns(), "--type=merge",
                  "-p", R"({"data":null})"});
  ASSERT_TRUE(Comes([&] { return leader.Chain() != before; }));
  ASSERT_TRUE(Comes([&] { return follower.Chain() == leader.Chain(); }));
  ASSERT_TRUE(Comes([&] {
    return WhyNoHandshake(*follower.keeper->Current(), bundle(),
                          "backfill-coordinator." + rights.ns() + ".svc", clock_.Wall())
        .empty();
  }));

  // A ConfigMap of somebody else is left alone.
  rights.Kubectl({"label", "configmap", "backfill-operator-ca", "-n", rights.workers(),
                  "app.kubernetes.io/managed-by-"});
  const Status taken = leader.publisher->Publish(rights.workers());
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kConflict);

  // It needs no more than it has, and what it has it needs.
  const auto done = rights.WhatItDid();
  EXPECT_THAT(done, Each(Not(HasSubstr(" 403"))));
  for (const char* call : {"get secrets 200", "watch secrets 200", "update secrets 200",
                           "get configmaps 200", "create configmaps 201", "update configmaps 200"})
    EXPECT_THAT(done, Contains(call));
}

TEST_F(CertificateClusterTest, TwoThatLeadAtOnceEndWithOneCertificate) {
  LimitedOperator rights(*plane_);
  Replica one(rights, clock_, true);
  Replica two(rights, clock_, true);
  EXPECT_TRUE(Comes([&] { return !one.Chain().empty() && one.Chain() == two.Chain(); }));
}

TEST_F(CertificateClusterTest, WithoutTheRightToUpdateNothingIsServedAndNothingElseIsTried) {
  LimitedOperator rights(*plane_, "get, watch");
  Replica leader(rights, clock_, true);
  ASSERT_TRUE(
      Comes([&] { return testing::Matches(Contains("update secrets 403"))(rights.WhatItDid()); }));
  EXPECT_EQ(leader.Chain(), "");
}

TEST_F(CertificateClusterTest, WithoutTheRightToWatchItStillFollowsByReading) {
  LimitedOperator rights(*plane_, "get, update");
  Replica leader(rights, clock_, true);
  Replica follower(rights, clock_, false);
  EXPECT_TRUE(Comes([&] { return !leader.Chain().empty() && leader.Chain() == follower.Chain(); }));
  EXPECT_THAT(rights.WhatItDid(), Contains("watch secrets 403"));
}

TEST_F(CertificateClusterTest, NoOtherSecretCanBeRead) {
  LimitedOperator rights(*plane_);
  const auto transport = rights.Connect();
  const kube::ApiClient api(*transport, nullptr);
  const kube::CallLimits soon{.deadline = clock_.Steady() + kOnServer};
  const auto other = api.Get(kCertificateSecrets, {rights.ns(), "another"}, soon);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().kind, kube::ApiErrorKind::kForbidden);
  const auto all = api.List(kCertificateSecrets, {.ns = rights.ns()}, soon);
  ASSERT_FALSE(all.ok());
  EXPECT_EQ(all.error().kind, kube::ApiErrorKind::kForbidden);
}

}  // namespace
}  // namespace backfill::certificates
