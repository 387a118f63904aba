#include "operator/kube/cached_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "operator/kube/api_store.h"
#include "tests/fakes/fake_api_server.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using fakes::Fault;

class CachedStoreTest : public ::testing::Test {
 protected:
  static ObjectRef Backfill(const std::string& name = "reprice") {
    return {.kind = std::string(kBackfillKind), .ns = "shop", .name = name};
  }
  static ObjectRef Report() {
    return {.kind = std::string(kConfigMapKind), .ns = "shop", .name = "reprice-report"};
  }
  Object Created(const ObjectRef& ref, const std::string& content = R"({"spec":{}})") {
    Object object;
    object.ref = ref;
    object.content = content;
    return Must(through_.Create(object, Durability::kPower));
  }
  // By somebody else, past the store that is tested.
  void Edit(const std::string& spec) {
    ASSERT_EQ(server_
                  .Do(HttpMethod::kPatch, PathOf(CachedBackfills().type, "shop", "reprice"),
                      R"({"spec":)" + spec + "}", "application/merge-patch+json")
                  .status,
              200);
  }
  // The cache gets to know what the server has.
  void CacheCatchesUp() {
    const auto list = nlohmann::json::parse(
        server_.Do(HttpMethod::kGet, PathOf(CachedBackfills().type, "shop")).body);
    std::vector<ApiObjectPtr> objects;
    for (const auto& item : list.at("items"))
      objects.push_back(Must(CachedBackfills().decode(item)));
    cache_.Replace(objects, list.at("metadata").at("resourceVersion").get<std::string>());
  }
  int CallsOf(const std::function<void()>& doing) {
    const int before = server_.Count();
    doing();
    return server_.Count() - before;
  }

  template <typename T>
  static T Must(Result<T> result) {
    if (!result.ok()) {
      ADD_FAILURE() << result.error().message;
      std::abort();
    }
    return std::move(result).value();
  }
  template <typename T>
  static std::string CodeOf(const Result<T>& result) {
    return result.ok() ? "ok" : std::string(ToString(result.error().code));
  }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  ApiStore api_{server_, server_, clock_, {}};
  ObjectCache cache_;
  CachedStore through_{api_, cache_, clock_, {}};
};

TEST_F(CachedStoreTest, ABackfillIsReadFromTheCacheWithoutACall) {
  const Object created = Created(Backfill());
  CacheCatchesUp();
  EXPECT_EQ(CallsOf([&] { EXPECT_EQ(Must(through_.Get(Backfill())).uid, created.uid); }), 0);
  EXPECT_EQ(CodeOf(through_.Get(Backfill("other"))), "not found");
}

TEST_F(CachedStoreTest, R21_WhatWasWrittenIsReadBackThoughTheCacheIsBehind) {
  Object object = Created(Backfill());
  CacheCatchesUp();
  object.status = R"({"phase":"Planning"})";
  const Object written = Must(through_.UpdateStatus(object, Durability::kPower));
  EXPECT_EQ(Must(through_.Get(Backfill())).status, R"({"phase":"Planning"})");
  EXPECT_EQ(Must(through_.Get(Backfill())).resource_version, written.resource_version);
  // Once the cache has overtaken it, the cache counts.
  Edit(R"({"paused":true})");
  EXPECT_EQ(Must(through_.Get(Backfill())).content, R"({"spec":{}})");
  CacheCatchesUp();
  EXPECT_EQ(Must(through_.Get(Backfill())).content, R"({"spec":{"paused":true}})");
}

TEST_F(CachedStoreTest, R25_AfterAConflictItIsReadLive) {
  Object object = Created(Backfill());
  CacheCatchesUp();
  Edit(R"({"paused":true})");
  object.status = R"({"phase":"Running"})";
  EXPECT_EQ(CodeOf(through_.UpdateStatus(object, Durability::kPower)), "conflict");
  const Object live = Must(through_.Get(Backfill()));
  EXPECT_EQ(live.content, R"({"spec":{"paused":true}})");
  object.resource_version = live.resource_version;
  EXPECT_EQ(CodeOf(through_.UpdateStatus(object, Durability::kPower)), "ok");
}

TEST_F(CachedStoreTest, WhatWasWrittenPastItIsSeenAfterARefresh) {
  Created(Backfill());
  CacheCatchesUp();
  Edit(R"({"paused":true})");
  EXPECT_EQ(Must(through_.Get(Backfill())).content, R"({"spec":{}})");
  ASSERT_TRUE(through_.Refresh(Backfill()).ok());
  EXPECT_EQ(Must(through_.Get(Backfill())).content, R"({"spec":{"paused":true}})");
}

TEST_F(CachedStoreTest, WhatHasGoneIsGoneThoughItWasWritten) {
  Object object = Created(Backfill());
  CacheCatchesUp();
  object.status = R"({"phase":"Running"})";
  Must(through_.UpdateStatus(object, Durability::kPower));
  server_.Do(HttpMethod::kDelete, PathOf(CachedBackfills().type, "shop", "reprice"));
  CacheCatchesUp();
  EXPECT_EQ(CodeOf(through_.Get(Backfill())), "not found");
}

TEST_F(CachedStoreTest, AConfigMapIsReadOnceInAWhileAlsoWhenThereIsNone) {
  EXPECT_EQ(CallsOf([&] {
              for (int i = 0; i < 5; ++i) EXPECT_EQ(CodeOf(through_.Get(Report())), "not found");
            }),
            1);
  // Its creation is known at once.
  Created(Report(), R"({"data":{"a":"b"}})");
  EXPECT_EQ(CallsOf([&] {
              for (int i = 0; i < 5; ++i) EXPECT_EQ(CodeOf(through_.Get(Report())), "ok");
            }),
            1);
  server_.Do(HttpMethod::kDelete, "/api/v1/namespaces/shop/configmaps/reprice-report");
  EXPECT_EQ(CodeOf(through_.Get(Report())), "ok");
  clock_.Advance(11s);
  EXPECT_EQ(CodeOf(through_.Get(Report())), "not found");
}

TEST_F(CachedStoreTest, ARefusedCreationIsFollowedByALiveRead) {
  EXPECT_EQ(CodeOf(through_.Get(Report())), "not found");
  server_.Do(HttpMethod::kPost, "/api/v1/namespaces/shop/configmaps",
             R"({"metadata":{"name":"reprice-report"},"data":{"by":"others"}})");
  Object wanted;
  wanted.ref = Report();
  wanted.content = R"({"data":{}})";
  EXPECT_EQ(CodeOf(through_.Create(wanted, Durability::kPower)), "conflict");
  EXPECT_EQ(CodeOf(through_.Get(Report())), "ok");
}

TEST_F(CachedStoreTest, AFailureIsNotRemembered) {
  server_.FailNext(1, Fault::Status(503));
  EXPECT_EQ(CodeOf(through_.Get(Report())), "unavailable");
  EXPECT_EQ(CodeOf(through_.Get(Report())), "not found");
}

}  // namespace
}  // namespace backfill::kube
