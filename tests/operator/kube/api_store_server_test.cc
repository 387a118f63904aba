// The store on an API server with the product's own kinds, on the fake and on a real one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/api_store.h"
#include "tests/operator/kube/api_server_contract.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class ApiStoreServerTest : public ApiServerContractTest {
 protected:
  void SetUp() override {
    ApiServerContractTest::SetUp();
    if (server_ == nullptr) return;
    store_ = std::make_unique<ApiStore>(server_->transport(), server_->transport(),
                                        server_->clock(), ApiStore::Options{.ns = ns_});
  }
  void TearDown() override {
    store_.reset();
    ApiServerContractTest::TearDown();
  }

  Object Wanted(std::string_view kind, const std::string& name, const std::string& content) const {
    Object object;
    object.ref = {std::string(kind), ns_, name};
    object.content = content;
    return object;
  }
  Object WantedBackfill(const std::string& name) const {
    return Wanted(kBackfillKind, name, nlohmann::json{{"spec", Backfill(name)["spec"]}}.dump());
  }
  // As the coordinator writes it.
  Object WantedLedger(const std::string& name, int sequence) const {
    return Wanted(kLedgerKind, name,
                  R"({"epoch":1,"seq":)" + std::to_string(sequence) +
                      R"(,"chunks":1,"writer":"0a","data":"AAAA"})");
  }
  Object Created(const Object& object) { return Must(store_->Create(object, Durability::kPower)); }
  Result<Object> Update(const Object& object) { return store_->Update(object, Durability::kPower); }
  template <typename T>
  static std::string CodeOf(const Result<T>& result) {
    return result.ok() ? "ok" : std::string(ToString(result.error().code));
  }

  std::unique_ptr<ApiStore> store_;
};

TEST_P(ApiStoreServerTest, ABackfillLivesAndDies) {
  Object object = Created(WantedBackfill("a"));
  EXPECT_EQ(object.generation, 1);
  EXPECT_THAT(object.content, HasSubstr(R"("dryRun":true)"));  // the default
  object.annotations = {{"backfill.dev/paused", "lunch"}};
  object = Must(Update(object));
  EXPECT_EQ(object.generation, 1);
  object.status = R"({"observedGeneration":1,"phase":"Planning"})";
  object = Must(store_->UpdateStatus(object, Durability::kPower));
  EXPECT_EQ(Must(store_->Get(object.ref)).status, object.status);
  EXPECT_EQ(Must(store_->List(kBackfillKind, ns_)).size(), 1U);
  EXPECT_EQ(CodeOf(store_->Delete(object.ref, kOtherUid)), "conflict");
  Must(store_->Delete(object.ref, object.uid));
  EXPECT_EQ(CodeOf(store_->Get(object.ref)), "not found");
  EXPECT_EQ(CodeOf(store_->Delete(object.ref, object.uid)), "not found");
}

TEST_P(ApiStoreServerTest, AnUpdateThatChangesNothingKeepsTheVersion) {
  const Object object = Created(WantedBackfill("a"));
  EXPECT_EQ(Must(Update(object)).resource_version, object.resource_version);
  EXPECT_EQ(Must(store_->Get(object.ref)).resource_version, object.resource_version);
}

TEST_P(ApiStoreServerTest, ALedgerBelongsToItsBackfillAndIsWrittenOverByItsVersionOnly) {
  const Object owner = Created(WantedBackfill("a"));
  Object wanted = WantedLedger("a-0000", 1);
  wanted.owner_uid = owner.uid;
  const Object old = Created(wanted);
  EXPECT_EQ(old.owner_uid, owner.uid);
  Object next = old;
  next.content = WantedLedger("a-0000", 2).content;
  const Object written = Must(Update(next));
  EXPECT_EQ(written.content, nlohmann::json::parse(next.content).dump());
  EXPECT_EQ(written.owner_uid, owner.uid);
  EXPECT_EQ(CodeOf(Update(next)), "conflict");
  EXPECT_EQ(CodeOf(store_->Create(wanted, Durability::kPower)), "conflict");
}

TEST_P(ApiStoreServerTest, WhatTheServerRefusesIsInvalidAndSaysWhere) {
  Object object = WantedBackfill("a");
  object.content = R"({"spec":{"target":{"http":{"url":"http://orders/{{key}}"}}}})";
  const auto refused = store_->Create(object, Durability::kPower);
  EXPECT_EQ(CodeOf(refused), "invalid");
  EXPECT_THAT(refused.error().message, HasSubstr("spec.source"));
}

TEST_P(ApiStoreServerTest, AStatusOfAnOldVersionIsAConflict) {
  Object object = Created(WantedBackfill("a"));
  Object late = object;
  object.annotations = {{"a", "b"}};
  Must(Update(object));
  late.status = R"({"phase":"Planning"})";
  EXPECT_EQ(CodeOf(store_->UpdateStatus(late, Durability::kPower)), "conflict");
}

TEST_P(ApiStoreServerTest, FinalizersOfOthersStay) {
  Object object = Created(WantedBackfill("a"));
  Merge("backfills", "a", {{"metadata", {{"finalizers", {"backfill.dev/drain-workers"}}}}});
  object = Must(store_->Get(object.ref));
  EXPECT_THAT(object.finalizers, ::testing::ElementsAre("backfill.dev/drain-workers"));
  EXPECT_EQ(object.deletion_time, "");
  object.labels = {{"a", "b"}};
  Must(Update(object));
  EXPECT_EQ(Get("backfills", "a").Text("/metadata/finalizers/0"), "backfill.dev/drain-workers");
  Must(store_->Delete(object.ref, object.uid));
  EXPECT_EQ(Must(store_->Get(object.ref)).uid, object.uid);
  EXPECT_EQ(Must(store_->Get(object.ref)).deletion_time.size(), 20U) << "it is being deleted";
  Merge("backfills", "a", {{"metadata", {{"finalizers", nullptr}}}});
  EXPECT_EQ(CodeOf(store_->Get(object.ref)), "not found");
}

TEST_P(ApiStoreServerTest, ConfigMapsAreKeptToo) {
  Object object = Created(Wanted(kConfigMapKind, "a-report", R"({"data":{"result":"Started"}})"));
  object.content = R"({"data":{"result":"Completed"},"immutable":true})";
  object = Must(Update(object));
  object.content = R"({"data":{"result":"Changed"},"immutable":true})";
  EXPECT_EQ(CodeOf(Update(object)), "invalid");
}

TEST_P(ApiStoreServerTest, ChangesOfOthersWakeWhoWaits) {
  const std::uint64_t seen = Must(store_->WaitForChange(0, Time{}, {}));
  Create("backfills", Backfill("a"));
  EXPECT_GT(Must(store_->WaitForChange(seen, std::chrono::steady_clock::now() + 20s, {})), seen);
}

INSTANTIATE_TEST_SUITE_P(Servers, ApiStoreServerTest, ::testing::Values(ServerOfThisBinary()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace backfill::kube
