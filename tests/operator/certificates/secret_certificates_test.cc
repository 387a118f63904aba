#include "operator/certificates/secret_certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"
#include "tests/operator/certificates/verification.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;
using fakes::Fault;
using kube::HttpMethod;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Duration kDay = 24h;
const std::string kSecrets = "/api/v1/namespaces/default/secrets";
const std::string kServedHost = "backfill-coordinator.default.svc";

class Leads final : public coordinator::Leadership {
 public:
  explicit Leads(bool leads) : leads_(leads) {}
  [[nodiscard]] bool Valid(Time) const override { return leads_; }
  void Set(bool leads) { leads_ = leads; }

 private:
  bool leads_;
};

// What a replica has.
class Replica {
 public:
  Replica(fakes::FakeApiServer& server, const Clock& clock, bool leads)
      : leads_(leads),
        clock_(clock),
        api_(server, nullptr),
        certificates_(api_, clock, leads_,
                      {.secret = {.ns = "default", .name = "backfill-operator-tls"},
                       .names = ServerNames("backfill-coordinator", "default"),
                       .policy = {},
                       .published_for = [this](const std::string&) { return published_for; }}) {}

  // The watch brings it.
  void Sees() {
    const auto secret = api_.Get(kCertificateSecrets, {"default", "backfill-operator-tls"},
                                 {.deadline = clock_.Steady() + 1s});
    certificates_.Observe(secret.ok() ? std::static_pointer_cast<const CertificateSecret>(*secret)
                                      : nullptr);
  }
  Status Renews() { return certificates_.Renew({}); }
  [[nodiscard]] std::string Chain() const {
    const auto current = certificates_.Current();
    return current == nullptr ? "" : current->chain;
  }
  [[nodiscard]] std::string Bundle() const {
    const auto bundle = certificates_.Bundle();
    return bundle == nullptr ? "" : *bundle;
  }
  SecretCertificates& operator*() { return certificates_; }
  Leads& leadership() { return leads_; }

  std::optional<Duration> published_for = 24h;

 private:
  Leads leads_;
  const Clock& clock_;
  kube::ApiClient api_;
  SecretCertificates certificates_;
};

class SecretCertificatesTest : public ::testing::Test {
 protected:
  void ChartInstalls(const json& data = json::object()) {
    const json secret = {{"apiVersion", "v1"},
                         {"kind", "Secret"},
                         {"metadata",
                          {{"name", "backfill-operator-tls"},
                           {"labels", {{"app.kubernetes.io/managed-by", "Helm"}}}}},
                         {"type", "Opaque"},
                         {"data", data}};
    ASSERT_EQ(server_.Do(HttpMethod::kPost, kSecrets, secret.dump()).status, 201);
  }
  json Secret() {
    return json::parse(server_.Do(HttpMethod::kGet, kSecrets + "/backfill-operator-tls").body);
  }
  int Writes() { return server_.Count({.verb = "update", .plural = "secrets"}); }
  std::string Trusted(const Replica& replica, const std::string& bundle) {
    return WhyNotTrusted(replica.Chain(), bundle, kServedHost, clock_.Wall());
  }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  Replica leader_{server_, clock_, true};
  Replica follower_{server_, clock_, false};
};

TEST_F(SecretCertificatesTest, TheLeaderFillsTheSecretAndAllServeIt) {
  ChartInstalls();
  for (Replica* replica : {&leader_, &follower_}) {
    replica->Sees();
    EXPECT_EQ(replica->Chain(), "");
    EXPECT_EQ(replica->Bundle(), "");
  }
  EXPECT_TRUE(follower_.Renews().ok());
  EXPECT_EQ(Writes(), 0);
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Writes(), 1);
  follower_.Sees();
  for (const Replica* replica : {&leader_, &follower_})
    EXPECT_EQ(Trusted(*replica, replica->Bundle()), "");
  EXPECT_EQ(leader_.Chain(), follower_.Chain());
  // What others have put there stays.
  EXPECT_EQ(Secret()["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Writes(), 1) << "a write that changes nothing";
}

TEST_F(SecretCertificatesTest, NothingIsDecidedBeforeTheSecretWasRead) {
  ChartInstalls();
  const Status renewed = leader_.Renews();
  ASSERT_FALSE(renewed.ok());
  EXPECT_EQ(renewed.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Writes(), 0);
}

TEST_F(SecretCertificatesTest, WithoutTheSecretItSaysWhoMakesIt) {
  leader_.Sees();
  const Status renewed = leader_.Renews();
  ASSERT_FALSE(renewed.ok());
  EXPECT_EQ(renewed.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(renewed.error().message, HasSubstr("default/backfill-operator-tls"));
}

TEST_F(SecretCertificatesTest, OfTwoThatWriteAtOnceOneLooksAgain) {
  ChartInstalls();
  follower_.leadership().Set(true);
  leader_.Sees();
  follower_.Sees();
  EXPECT_TRUE(leader_.Renews().ok());
  const Status second = follower_.Renews();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_EQ(follower_.Chain(), "");
  follower_.Sees();
  EXPECT_TRUE(follower_.Renews().ok());
  EXPECT_EQ(follower_.Chain(), leader_.Chain());
  EXPECT_EQ(Writes(), 2);
}

TEST_F(SecretCertificatesTest, ALostAnswerCostsNothing) {
  ChartInstalls();
  leader_.Sees();
  server_.FailNext(1, Fault::AnswerLost(), {.verb = "update", .plural = "secrets"});
  EXPECT_FALSE(leader_.Renews().ok());
  EXPECT_EQ(leader_.Chain(), "") << "it serves what may not be what others know";
  leader_.Sees();
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Trusted(leader_, leader_.Bundle()), "");
  EXPECT_EQ(Writes(), 1);
}

TEST_F(SecretCertificatesTest, WhatTheServerSaysOfARefusalIsNotRepeated) {
  ChartInstalls();
  leader_.Sees();
  server_.FailNext(1, Fault::Status(422, "Invalid", "data: Invalid value: LS0tKEY"));
  const Status refused = leader_.Renews();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("KEY")));
  EXPECT_THAT(refused.error().message, HasSubstr("422"));
  server_.FailNext(1, Fault::ForbiddenByRole());
  const Status forbidden = leader_.Renews();
  ASSERT_FALSE(forbidden.ok());
  EXPECT_EQ(forbidden.error().code, ErrorCode::kPermission);
}

// R38
TEST_F(SecretCertificatesTest, R38_WhoDoesNotLeadWritesNothing) {
  ChartInstalls();
  leader_.Sees();
  leader_.leadership().Set(false);
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Writes(), 0);
}

TEST_F(SecretCertificatesTest, TheServerCertificateIsRenewedAtTwoThirds) {
  ChartInstalls();
  leader_.Sees();
  ASSERT_TRUE(leader_.Renews().ok());
  const std::string first = leader_.Chain();
  clock_.Advance(20 * kDay - 10min);
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(leader_.Chain(), first);
  clock_.Advance(20min);
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_NE(leader_.Chain(), first);
  EXPECT_EQ(Trusted(leader_, leader_.Bundle()), "");
  EXPECT_GT(*(*leader_).Ends().server, clock_.Wall() + std::chrono::hours(29 * 24));
}

TEST_F(SecretCertificatesTest, ANewAuthorityIsPublishedBeforeItIsUsedAndTheOldOneStays) {
  ChartInstalls();
  leader_.Sees();
  ASSERT_TRUE(leader_.Renews().ok());
  const std::string old_bundle = leader_.Bundle();
  clock_.Advance(244 * kDay);
  ASSERT_TRUE(leader_.Renews().ok());
  const std::string both = leader_.Bundle();
  EXPECT_NE(both, old_bundle);
  EXPECT_EQ(Trusted(leader_, old_bundle), "") << "the new one is in use already";

  clock_.Advance(10min - 1s);
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Trusted(leader_, old_bundle), "");
  leader_.published_for = std::nullopt;  // a namespace has not got it
  clock_.Advance(1h);
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Trusted(leader_, old_bundle), "");
  leader_.published_for = 9min;
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Trusted(leader_, old_bundle), "");
  leader_.published_for = 10min;
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_NE(Trusted(leader_, old_bundle), "");
  EXPECT_EQ(Trusted(leader_, both), "");

  // Whoever still shows a certificate of the old one is trusted, for a day.
  follower_.Sees();
  EXPECT_THAT(leader_.Bundle(), HasSubstr(old_bundle));
  clock_.Advance(kDay + 1s);
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_THAT(leader_.Bundle(), Not(HasSubstr(old_bundle)));
  EXPECT_EQ(Trusted(leader_, leader_.Bundle()), "");
}

TEST_F(SecretCertificatesTest, ANewLeaderDoesNotUseWhatItHasJustSeen) {
  ChartInstalls();
  leader_.Sees();
  ASSERT_TRUE(leader_.Renews().ok());
  const std::string old_bundle = leader_.Bundle();
  clock_.Advance(244 * kDay);
  ASSERT_TRUE(leader_.Renews().ok());
  clock_.Advance(9min);
  clock_.StepWall(48h);  // of no account
  Replica next(server_, clock_, true);
  next.Sees();
  EXPECT_TRUE(next.Renews().ok());
  clock_.Advance(9min);
  EXPECT_TRUE(next.Renews().ok());
  EXPECT_EQ(Trusted(next, old_bundle), "");
  clock_.Advance(1min);
  EXPECT_TRUE(next.Renews().ok());
  EXPECT_NE(Trusted(next, old_bundle), "");
}

TEST_F(SecretCertificatesTest, WhatCannotBeUsedLeavesWhatIsServed) {
  ChartInstalls();
  leader_.Sees();
  ASSERT_TRUE(leader_.Renews().ok());
  follower_.Sees();
  const std::string served = follower_.Chain();
  for (const json& data : {json::object(), json{{"tls.crt", "%%%"}, {"tls.key", 7}},
                           json{{"tls.crt", "eA=="}}, json(nullptr)}) {
    json secret = Secret();
    secret["data"] = data;
    server_.Do(HttpMethod::kPut, kSecrets + "/backfill-operator-tls", secret.dump());
    follower_.Sees();
    EXPECT_EQ(follower_.Chain(), served);
  }
  server_.Do(HttpMethod::kDelete, kSecrets + "/backfill-operator-tls");
  follower_.Sees();
  EXPECT_EQ(follower_.Chain(), served);
  // The chart makes it again, and the leader fills it.
  ChartInstalls();
  leader_.Sees();
  EXPECT_TRUE(leader_.Renews().ok());
  follower_.Sees();
  EXPECT_NE(follower_.Chain(), served);
  EXPECT_EQ(Trusted(follower_, follower_.Bundle()), "");
}

TEST_F(SecretCertificatesTest, WhatIsOlderThanWhatWasSeenChangesNothing) {
  ChartInstalls();
  kube::ApiClient api(server_, nullptr);
  const auto empty = api.Get(kCertificateSecrets, {"default", "backfill-operator-tls"},
                             {.deadline = clock_.Steady() + 1s});
  leader_.Sees();
  ASSERT_TRUE(leader_.Renews().ok());
  (*leader_).Observe(std::static_pointer_cast<const CertificateSecret>(*empty));
  EXPECT_TRUE(leader_.Renews().ok());
  EXPECT_EQ(Writes(), 1);
}

}  // namespace
}  // namespace backfill::certificates
