// Our finalizer on an API server: the fake in one binary, a real one in another.

#include "operator/reconcile/api_finalizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/operator/kube/api_server_contract.h"

namespace backfill::reconcile {
namespace {

using kube::Reply;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ApiFinalizersTest : public kube::ApiServerContractTest {
 protected:
  void SetUp() override {
    kube::ApiServerContractTest::SetUp();
    if (server_ == nullptr) return;
    client_ = std::make_unique<kube::ApiClient>(server_->transport(), nullptr);
    finalizers_ = std::make_unique<ApiFinalizers>(*client_, server_->clock());
    Create();
  }

  void Create() {
    ASSERT_EQ(ApiServerContractTest::Create("backfills", Backfill("reprice")).status, 201);
  }
  void SomebodySets(const std::vector<std::string>& finalizers) {
    const Reply set = Merge("backfills", "reprice", {{"metadata", {{"finalizers", finalizers}}}});
    ASSERT_EQ(set.status, 200) << set.body.dump();
  }
  Reply Get() { return ApiServerContractTest::Get("backfills", "reprice"); }
  std::vector<std::string> Finalizers() {
    const Reply reply = Get();
    return reply.Has("/metadata/finalizers")
               ? reply.body["metadata"]["finalizers"].get<std::vector<std::string>>()
               : std::vector<std::string>();
  }
  api::Backfill Read() {
    api::Backfill b;
    b.ns = ns_;
    b.name = "reprice";
    b.uid = Get().Text("/metadata/uid");
    b.resource_version = Get().Text("/metadata/resourceVersion");
    b.finalizers = Finalizers();
    return b;
  }

  std::unique_ptr<kube::ApiClient> client_;
  std::unique_ptr<ApiFinalizers> finalizers_;
};

TEST_P(ApiFinalizersTest, ComesAndGoes) {
  const Status added = finalizers_->Add(Read());
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_THAT(Finalizers(), ElementsAre(api::kDrainFinalizer));
  ASSERT_TRUE(finalizers_->Remove(Read()).ok());
  EXPECT_THAT(Finalizers(), IsEmpty());
}

TEST_P(ApiFinalizersTest, R28_WhatIsThereAlreadyIsNoWrite) {
  const std::string version = Get().Text("/metadata/resourceVersion");
  ASSERT_TRUE(finalizers_->Remove(Read()).ok());
  EXPECT_EQ(Get().Text("/metadata/resourceVersion"), version);
  ASSERT_TRUE(finalizers_->Add(Read()).ok());
  const std::string with = Get().Text("/metadata/resourceVersion");
  ASSERT_TRUE(finalizers_->Add(Read()).ok());
  EXPECT_EQ(Get().Text("/metadata/resourceVersion"), with);
}

TEST_P(ApiFinalizersTest, R26_ThoseOfOthersStayWhereverTheyStand) {
  SomebodySets({"example.com/a"});
  ASSERT_TRUE(finalizers_->Add(Read()).ok());
  SomebodySets({"example.com/a", api::kDrainFinalizer, "example.com/b"});
  ASSERT_TRUE(finalizers_->Remove(Read()).ok());
  EXPECT_THAT(Finalizers(), ElementsAre("example.com/a", "example.com/b"));
}

TEST_P(ApiFinalizersTest, R26_AListThatChangedMeanwhileIsReadAgain) {
  const api::Backfill old = Read();
  SomebodySets({"example.com/a"});
  ASSERT_TRUE(finalizers_->Add(old).ok());
  EXPECT_THAT(Finalizers(), ElementsAre("example.com/a", api::kDrainFinalizer));
  const api::Backfill with_both = Read();
  SomebodySets({api::kDrainFinalizer});
  ASSERT_TRUE(finalizers_->Remove(with_both).ok());
  EXPECT_THAT(Finalizers(), IsEmpty());
}

TEST_P(ApiFinalizersTest, EditsOfOtherFieldsDoNotMatter) {
  const api::Backfill old = Read();
  Merge("backfills", "reprice", {{"metadata", {{"labels", {{"a", "b"}}}}}});
  EXPECT_TRUE(finalizers_->Add(old).ok());
  EXPECT_THAT(Finalizers(), ElementsAre(api::kDrainFinalizer));
}

TEST_P(ApiFinalizersTest, TheLastOneLetsADeletedObjectGo) {
  ASSERT_TRUE(finalizers_->Add(Read()).ok());
  const api::Backfill b = Read();
  Delete("backfills", "reprice");
  EXPECT_EQ(Get().Text("/metadata/uid"), b.uid) << "it is kept";
  ASSERT_TRUE(finalizers_->Remove(Read()).ok());
  EXPECT_EQ(Get().status, 404);
  EXPECT_TRUE(finalizers_->Remove(b).ok()) << "R25: it is gone, which was wanted";
  EXPECT_EQ(finalizers_->Add(b).ok(), true) << "as it was read it is there";
  api::Backfill bare = b;
  bare.finalizers.clear();
  EXPECT_EQ(finalizers_->Add(bare).error().code, ErrorCode::kNotFound);
}

TEST_P(ApiFinalizersTest, ADeletedObjectTakesNoNewOne) {
  SomebodySets({"example.com/a"});
  Delete("backfills", "reprice");
  const Status refused = finalizers_->Add(Read());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message,
              HasSubstr("adding the finalizer of Backfill " + ns_ + "/reprice"));
  SomebodySets({});
}

TEST_P(ApiFinalizersTest, AnotherObjectOfTheNameIsLeftAlone) {
  ASSERT_TRUE(finalizers_->Add(Read()).ok());
  const api::Backfill old = Read();
  SomebodySets({});
  Delete("backfills", "reprice");
  Create();
  SomebodySets({api::kDrainFinalizer});
  EXPECT_TRUE(finalizers_->Remove(old).ok());
  EXPECT_THAT(Finalizers(), ElementsAre(api::kDrainFinalizer));
  api::Backfill bare = old;
  bare.finalizers.clear();
  EXPECT_EQ(finalizers_->Add(bare).error().code, ErrorCode::kConflict);
  SomebodySets({});
}

INSTANTIATE_TEST_SUITE_P(On, ApiFinalizersTest, testing::Values(kube::ServerOfThisBinary()),
                         [](const auto& server) { return server.param.name; });

}  // namespace
}  // namespace backfill::reconcile
