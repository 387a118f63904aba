#include "operator/certificates/ca_publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;
using fakes::Fault;
using kube::HttpMethod;
using nlohmann::json;
using ::testing::HasSubstr;

std::string Maps(const std::string& ns) { return "/api/v1/namespaces/" + ns + "/configmaps"; }
std::string TheMap(const std::string& ns) { return Maps(ns) + "/backfill-operator-ca"; }

class GivenBundle final : public CaBundle {
 public:
  [[nodiscard]] std::shared_ptr<const std::string> Bundle() const override { return bundle_; }
  void Set(const std::string& text) { bundle_ = std::make_shared<const std::string>(text); }

 private:
  std::shared_ptr<const std::string> bundle_;
};

class MayLead final : public coordinator::Leadership {
 public:
  [[nodiscard]] bool Valid(Time) const override { return leads; }
  bool leads = true;
};

class CaPublisherTest : public ::testing::Test {
 protected:
  CaPublisherTest() { bundle_.Set("A"); }

  std::string Published(const std::string& ns) {
    const json map = json::parse(server_.Do(HttpMethod::kGet, TheMap(ns)).body);
    return map.contains("data") ? map["data"].value("ca.crt", "") : "";
  }
  ErrorCode CodeOf(const Status& status) {
    EXPECT_FALSE(status.ok());
    return status.ok() ? ErrorCode::kInternal : status.error().code;
  }
  int Writes() {
    return server_.Count({.verb = "create", .plural = "configmaps"}) +
           server_.Count({.verb = "update", .plural = "configmaps"});
  }
  void SomebodyMakes(const json& labels) {
    const json map = {{"metadata", {{"name", "backfill-operator-ca"}, {"labels", labels}}},
                      {"data", {{"ca.crt", "theirs"}, {"more", "text"}}}};
    ASSERT_EQ(server_.Do(HttpMethod::kPost, Maps("shop"), map.dump()).status, 201);
  }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  GivenBundle bundle_;
  MayLead leadership_;
  kube::ApiClient api_{server_, nullptr};
  CaPublisher publisher_{api_, clock_, bundle_, leadership_};
};

TEST_F(CaPublisherTest, ANamespaceGetsTheBundleOnce) {
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  EXPECT_EQ(Published("shop"), "A");
  const json map = json::parse(server_.Do(HttpMethod::kGet, TheMap("shop")).body);
  EXPECT_EQ(map["metadata"]["labels"]["app.kubernetes.io/managed-by"], "backfill-operator");
  server_.ForgetCalls();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(publisher_.Publish("shop").ok());
  EXPECT_EQ(server_.Calls().size(), 0U);
}

TEST_F(CaPublisherTest, WithoutACertificateThereIsNothingToPublish) {
  GivenBundle none;
  CaPublisher publisher(api_, clock_, none, leadership_);
  EXPECT_EQ(CodeOf(publisher.Publish("shop")), ErrorCode::kUnavailable);
  publisher.Refresh({});
  EXPECT_EQ(server_.Calls().size(), 0U);
}

TEST_F(CaPublisherTest, ANewBundleGoesToAllThatAreKnown) {
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  ASSERT_TRUE(publisher_.Publish("other").ok());
  EXPECT_TRUE(publisher_.PublishedFor("A"));
  bundle_.Set("AB");
  EXPECT_FALSE(publisher_.PublishedFor("AB"));
  publisher_.Refresh({});
  EXPECT_EQ(Published("shop"), "AB");
  EXPECT_EQ(Published("other"), "AB");
  EXPECT_EQ(publisher_.PublishedFor("AB"), 0s);
  clock_.Advance(10min);
  EXPECT_EQ(publisher_.PublishedFor("AB"), 10min);
  // Pods of a namespace that gets it only now have never had another.
  ASSERT_TRUE(publisher_.Publish("default").ok());
  EXPECT_EQ(publisher_.PublishedFor("AB"), 10min);
  server_.ForgetCalls();
  publisher_.Refresh({});
  EXPECT_EQ(server_.Calls().size(), 0U);
}

TEST_F(CaPublisherTest, OfWhatItFindsThereItDoesNotKnowSinceWhen) {
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  CaPublisher next(api_, clock_, bundle_, leadership_);
  ASSERT_TRUE(next.Publish("shop").ok());
  EXPECT_EQ(next.PublishedFor("A"), 0s);
}

TEST_F(CaPublisherTest, ANamespaceThatRefusesHoldsNoOtherBack) {
  ASSERT_TRUE(publisher_.Publish("other").ok());
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  bundle_.Set("AB");
  server_.FailAlways(Fault::ForbiddenByRole(), {.plural = "configmaps", .ns = "other"});
  publisher_.Refresh({});
  EXPECT_EQ(Published("shop"), "AB");
  EXPECT_FALSE(publisher_.PublishedFor("AB"));
  const std::size_t calls = server_.Calls().size();
  publisher_.Refresh({});
  EXPECT_EQ(server_.Calls().size(), calls) << "no hot loop";
  server_.Heal();
  clock_.Advance(1s);
  publisher_.Refresh({});
  EXPECT_EQ(Published("other"), "AB");
  EXPECT_TRUE(publisher_.PublishedFor("AB"));
}

TEST_F(CaPublisherTest, WhatIsNotOursIsNeverWritten) {
  SomebodyMakes({{"app.kubernetes.io/managed-by", "Helm"}});
  const Status refused = publisher_.Publish("shop");
  EXPECT_EQ(CodeOf(refused), ErrorCode::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("backfill-operator-ca"));
  EXPECT_EQ(Published("shop"), "theirs");
  EXPECT_EQ(Writes(), 0);
  // Once it is gone all is well.
  server_.Do(HttpMethod::kDelete, TheMap("shop"));
  EXPECT_TRUE(publisher_.Publish("shop").ok());
}

TEST_F(CaPublisherTest, WhatOthersHavePutBesideItStays) {
  SomebodyMakes({{"app.kubernetes.io/managed-by", "backfill-operator"}, {"team", "payments"}});
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  const json map = json::parse(server_.Do(HttpMethod::kGet, TheMap("shop")).body);
  EXPECT_EQ(map["data"]["ca.crt"], "A");
  EXPECT_EQ(map["data"]["more"], "text");
  EXPECT_EQ(map["metadata"]["labels"]["team"], "payments");
}

TEST_F(CaPublisherTest, R25_AConflictIsReadAgain) {
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  bundle_.Set("AB");
  server_.FailNext(2, Fault::Status(409, "Conflict"), {.verb = "update", .plural = "configmaps"});
  EXPECT_TRUE(publisher_.Publish("shop").ok());
  EXPECT_EQ(Published("shop"), "AB");
  bundle_.Set("ABC");
  server_.FailAlways(Fault::Status(409, "Conflict"), {.verb = "update", .plural = "configmaps"});
  EXPECT_EQ(CodeOf(publisher_.Publish("shop")), ErrorCode::kUnavailable) << "not a taken name";
}

TEST_F(CaPublisherTest, R23_ALostAnswerAndASecondReplicaCostNothing) {
  server_.FailNext(1, Fault::AnswerLost(), {.verb = "create", .plural = "configmaps"});
  EXPECT_EQ(CodeOf(publisher_.Publish("shop")), ErrorCode::kUnavailable);
  EXPECT_TRUE(publisher_.Publish("shop").ok());
  CaPublisher other(api_, clock_, bundle_, leadership_);
  EXPECT_TRUE(other.Publish("shop").ok());
  EXPECT_EQ(Writes(), 1);
  // It was made between our look and our create.
  server_.FailNext(1, Fault::Status(404, "NotFound"), {.verb = "get", .plural = "configmaps"});
  CaPublisher third(api_, clock_, bundle_, leadership_);
  EXPECT_TRUE(third.Publish("shop").ok());
}

TEST_F(CaPublisherTest, R38_WhoDoesNotLeadWritesNothing) {
  leadership_.leads = false;
  EXPECT_EQ(CodeOf(publisher_.Publish("shop")), ErrorCode::kAborted);
  EXPECT_EQ(server_.Calls().size(), 0U);
}

TEST_F(CaPublisherTest, WhereItWasSeenAServerThatIsAwayIsNoFailure) {
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  clock_.Advance(5min);
  server_.GoDown();
  EXPECT_TRUE(publisher_.Publish("shop").ok());
  const std::size_t calls = server_.Calls().size();
  EXPECT_TRUE(publisher_.Publish("shop").ok());
  EXPECT_EQ(server_.Calls().size(), calls) << "no hot loop";
  EXPECT_EQ(CodeOf(publisher_.Publish("other")), ErrorCode::kUnavailable);
  bundle_.Set("AB");
  EXPECT_EQ(CodeOf(publisher_.Publish("shop")), ErrorCode::kUnavailable);
  server_.ComeBack();
  EXPECT_TRUE(publisher_.Publish("shop").ok());
  EXPECT_EQ(Published("shop"), "AB");
}

TEST_F(CaPublisherTest, WhatSomebodyHasDeletedIsMadeAgain) {
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  server_.Do(HttpMethod::kDelete, TheMap("shop"));
  clock_.Advance(5min);
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  EXPECT_EQ(Published("shop"), "A");
}

TEST_F(CaPublisherTest, ANamespaceThatHasGoneIsForgotten) {
  ASSERT_TRUE(publisher_.Publish("shop").ok());
  server_.Do(HttpMethod::kDelete, TheMap("shop"));
  bundle_.Set("AB");
  server_.FailNext(1, Fault::Status(404, "NotFound", "namespaces \"shop\" not found"),
                   {.verb = "create", .plural = "configmaps"});
  publisher_.Refresh({});
  EXPECT_TRUE(publisher_.PublishedFor("AB"));
  server_.ForgetCalls();
  clock_.Advance(1h);
  publisher_.Refresh({});
  EXPECT_EQ(server_.Calls().size(), 0U);
}

}  // namespace
}  // namespace backfill::certificates
