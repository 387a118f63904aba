// What the store on an API server does beyond what every store does (store_contract_test.cc).

#include "operator/kube/api_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_api_server.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using fakes::Fault;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ApiStoreTest : public ::testing::Test {
 protected:
  static ObjectRef Ref(const std::string& name, std::string_view kind = kBackfillKind) {
    return {.kind = std::string(kind), .ns = "shop", .name = name};
  }
  static Object Wanted(const ObjectRef& ref, const std::string& content = R"({"spec":{}})") {
    Object object;
    object.ref = ref;
    object.content = content;
    return object;
  }
  Object Created(const ObjectRef& ref) {
    return Must(store_.Create(Wanted(ref), Durability::kPower));
  }
  // What stands on the server, by the eyes of somebody else.
  std::string OnServer(const std::string& name) {
    return server_.Do(HttpMethod::kGet, kCollection + ("/" + name)).body;
  }
  void PatchByOthers(const std::string& name, const std::string& patch) {
    ASSERT_EQ(server_
                  .Do(HttpMethod::kPatch, kCollection + ("/" + name), patch,
                      "application/merge-patch+json")
                  .status,
              200);
  }
  Result<Object> Update(const Object& object) { return store_.Update(object, Durability::kPower); }
  std::uint64_t Counter() { return Must(store_.WaitForChange(0, Time{}, {})); }
  std::uint64_t CounterAfter(std::uint64_t seen) {
    return Must(store_.WaitForChange(seen, std::chrono::steady_clock::now() + 20s, {}));
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

  const std::string kCollection = "/apis/backfill.dev/v1alpha1/namespaces/shop/backfills";
  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  ApiStore store_{server_, server_, clock_, {}};
};

TEST_F(ApiStoreTest, AnUpdateKeepsTheFinalizersAndOwnersOfOthers) {
  Object object = Created(Ref("a"));
  PatchByOthers("a", R"({"metadata":{"finalizers":["x/y"],"ownerReferences":[{"apiVersion":"v1",)"
                     R"("kind":"ConfigMap","name":"o","uid":"u","blockOwnerDeletion":true}]}})");
  object = Must(store_.Get(object.ref));
  EXPECT_EQ(object.owner_uid, "u");
  object.labels = {{"team", "payments"}};
  object = Must(Update(object));
  EXPECT_THAT(OnServer("a"),
              AllOf(HasSubstr(R"("finalizers":["x/y"])"), HasSubstr(R"("blockOwnerDeletion":true)"),
                    HasSubstr(R"("team":"payments")")));
}

TEST_F(ApiStoreTest, AnUpdateOfWhatWasSeenBeforeIsOneCall) {
  Object object = Created(Ref("a"));
  server_.ForgetCalls();
  object.content = R"({"spec":{"paused":true}})";
  object = Must(Update(object));
  EXPECT_THAT(server_.Calls(), SizeIs(1));
  ApiStore another(server_, server_, clock_, {});
  object.content = R"({"spec":{"paused":false}})";
  Must(another.Update(object, Durability::kPower));
  EXPECT_THAT(server_.Calls(), SizeIs(3));  // one to see what it must keep
}

// R28
TEST_F(ApiStoreTest, R28_AnUpdateThatChangesNothingIsNotSent) {
  Object object = Created(Ref("a"));
  EXPECT_EQ(Must(Update(object)).resource_version, object.resource_version);
  EXPECT_EQ(server_.Count({.verb = "update"}), 0);
  PatchByOthers("a", R"({"metadata":{"labels":{"a":"b"}}})");
  EXPECT_EQ(CodeOf(Update(object)), "conflict");
}

// F8: what was remembered is of another version than what is there.
TEST_F(ApiStoreTest, F8_AnUpdateAfterAForeignEditIsAConflictAndLosesNothing) {
  const Object object = Created(Ref("a"));
  PatchByOthers("a", R"({"metadata":{"finalizers":["x/y"]}})");
  EXPECT_EQ(CodeOf(Update(object)), "conflict");
  EXPECT_EQ(CodeOf(Update(object)), "conflict");  // after a look, too
  EXPECT_THAT(OnServer("a"), HasSubstr("x/y"));
}

TEST_F(ApiStoreTest, AnUpdateMeansTheObjectThatWasReadAndNoOtherOfItsName) {
  const Object object = Created(Ref("a"));
  Must(store_.Delete(object.ref, object.uid));
  Created(Ref("a"));
  EXPECT_EQ(CodeOf(Update(object)), "conflict");
}

// R27
TEST_F(ApiStoreTest, R27_AStatusIsReplacedWholeAndOnlyIfTheVersionIsRight) {
  Object object = Created(Ref("a"));
  object.status = R"({"phase":"Planning","display":{"eta":"1h"}})";
  const Object planning = Must(store_.UpdateStatus(object, Durability::kPower));
  object = planning;
  object.status = R"({"phase":"Running"})";
  object = Must(store_.UpdateStatus(object, Durability::kPower));
  EXPECT_EQ(object.status, R"({"phase":"Running"})");
  EXPECT_EQ(CodeOf(store_.UpdateStatus(planning, Durability::kPower)), "conflict");
  object.status.clear();
  EXPECT_EQ(Must(store_.UpdateStatus(object, Durability::kPower)).status, "");
}

TEST_F(ApiStoreTest, AStatusNeedsNoRightToUpdate) {
  Object object = Created(Ref("a"));
  server_.FailAlways(Fault::ForbiddenByRole(), {.verb = "update"});
  object.status = R"({"phase":"Planning"})";
  object = Must(store_.UpdateStatus(object, Durability::kPower));
  object.labels = {{"a", "b"}};
  EXPECT_EQ(CodeOf(Update(object)), "permission denied");
}

TEST_F(ApiStoreTest, KindsWithoutAStatusRefuseOne) {
  Object object = Created(Ref("a", kLedgerKind));
  object.status = "{}";
  EXPECT_EQ(CodeOf(store_.UpdateStatus(object, Durability::kPower)), "invalid");
}

TEST_F(ApiStoreTest, OwnersAreNamedInFull) {
  const Object owner = Created(Ref("a"));
  Object chunk = Wanted(Ref("a-0000", kLedgerKind), R"({"epoch":1})");
  chunk.owner_uid = owner.uid;
  ApiStore fresh(server_, server_, clock_, {});  // has never seen the owner
  EXPECT_EQ(Must(fresh.Create(chunk, Durability::kPower)).owner_uid, owner.uid);
  const std::string there =
      server_
          .Do(HttpMethod::kGet,
              "/apis/backfill.dev/v1alpha1/namespaces/shop/backfillledgers/a-0000")
          .body;
  EXPECT_THAT(there,
              AllOf(HasSubstr(R"("kind":"Backfill","name":"a")"), HasSubstr(R"("controller":true)"),
                    HasSubstr(R"("blockOwnerDeletion":true)")));
  chunk.ref.name = "b-0000";
  chunk.owner_uid = "gone";
  EXPECT_EQ(CodeOf(fresh.Create(chunk, Durability::kPower)), "not found");
}

TEST_F(ApiStoreTest, WhatHasAFinalizerIsStillThereAfterItsDeletion) {
  const Object object = Created(Ref("a"));
  PatchByOthers("a", R"({"metadata":{"finalizers":["x/y"]}})");
  Must(store_.Delete(object.ref, object.uid));
  EXPECT_EQ(Must(store_.Get(object.ref)).uid, object.uid);
}

TEST_F(ApiStoreTest, ListsGoOnWhenAPageExpires) {
  for (int i = 0; i < 600; ++i) {
    server_.Do(HttpMethod::kPost, kCollection,
               R"({"kind":"Backfill","metadata":{"name":"b)" + std::to_string(i) + R"("}})");
  }
  server_.FailNext(1, Fault::Expired(), {.verb = "list"});
  EXPECT_THAT(Must(store_.List(kBackfillKind, "shop")), SizeIs(600));
  server_.FailNext(3, Fault::Expired(), {.verb = "list"});
  EXPECT_EQ(CodeOf(store_.List(kBackfillKind, "shop")), "expired");
}

TEST_F(ApiStoreTest, ContentThatIsNoObjectOrTouchesWhatStandsBesideItIsRefused) {
  for (const char* content :
       {"", "7", "[]", "{", R"({"metadata":{}})", R"({"status":{}})", R"({"kind":"x"})"}) {
    EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref("a"), content), Durability::kPower)), "invalid")
        << content;
  }
  Object object = Created(Ref("a"));
  object.status = "[]";
  EXPECT_EQ(CodeOf(store_.UpdateStatus(object, Durability::kPower)), "invalid");
}

// R25, R30
TEST_F(ApiStoreTest, RefusalsSayWhatTheCallerCanDo) {
  server_.FailNext(1, Fault::TooManyRequests(7s));
  const auto slow = store_.Get(Ref("a"));
  EXPECT_EQ(CodeOf(slow), "unavailable");
  EXPECT_EQ(slow.error().retry_after, 7s);
  server_.FailNext(1, Fault::ForbiddenByRole());
  EXPECT_EQ(CodeOf(store_.Get(Ref("a"))), "permission denied");
  server_.FailNext(1, Fault::Unauthorized());
  EXPECT_EQ(CodeOf(store_.List(kBackfillKind, "")), "unauthenticated");
  server_.FailNext(1, Fault::Unreachable());
  EXPECT_EQ(CodeOf(store_.Get(Ref("a"))), "unavailable");
  server_.FailNext(1, Fault::Status(500, "", "boom"));
  EXPECT_THAT(store_.Get(Ref("a")).error().message, HasSubstr("Backfill shop/a"));
  EXPECT_EQ(CodeOf(store_.Create(Wanted({std::string(kBackfillKind), "nowhere", "a"}),
                                 Durability::kPower)),
            "not found");
}

// R23: the answer was lost, the write was not.
TEST_F(ApiStoreTest, R23_AWriteWhoseAnswerWasLostCanBeDoneAgain) {
  server_.FailNext(1, Fault::AnswerLost());
  EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref("a")), Durability::kPower)), "unavailable");
  EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref("a")), Durability::kPower)), "conflict");
  Object object = Must(store_.Get(Ref("a")));
  object.labels = {{"a", "b"}};
  server_.FailNext(1, Fault::AnswerLost());
  EXPECT_EQ(CodeOf(Update(object)), "unavailable");
  EXPECT_EQ(CodeOf(Update(object)), "conflict");
}

// F23
TEST_F(ApiStoreTest, F23_AnswersThatMakeNoSenseAreErrors) {
  for (const char* body : {"", "[]", "{", R"({"metadata":7})", R"({"metadata":{"labels":7}})"}) {
    server_.ServeDocument(kCollection + "/a", body);
    server_.ServeDocument(kCollection, body);
    EXPECT_EQ(CodeOf(store_.Get(Ref("a"))), "internal") << body;
    EXPECT_EQ(CodeOf(store_.List(kBackfillKind, "shop")),
              std::string(body) == R"({"metadata":{"labels":7}})" ? "ok" : "internal")
        << body;
  }
  server_.ServeDocument(
      kCollection, R"({"metadata":{},"items":[7,{"metadata":{"name":"a","namespace":"shop"}}]})");
  EXPECT_THAT(Must(store_.List(kBackfillKind, "shop")), SizeIs(1));
}

TEST_F(ApiStoreTest, ChangesOfOthersAreCounted) {
  const std::uint64_t seen = Counter();
  ASSERT_TRUE(server_.AwaitStreams(2));
  server_.Do(HttpMethod::kPost, kCollection, R"({"kind":"Backfill","metadata":{"name":"a"}})");
  EXPECT_GT(CounterAfter(seen), seen);
}

TEST_F(ApiStoreTest, AWriteAndItsEventAreCountedOnce) {
  Counter();
  ASSERT_TRUE(server_.AwaitStreams(2));
  Created(Ref("a"));
  const std::uint64_t counted = Counter();
  ASSERT_TRUE(server_.AwaitDelivered());
  EXPECT_EQ(Counter(), counted);
}

// R4
TEST_F(ApiStoreTest, R4_AWatchThatEndsGoesOnWhereItWas) {
  std::uint64_t seen = Counter();
  ASSERT_TRUE(server_.AwaitStreams(2));
  server_.Do(HttpMethod::kPost, kCollection, R"({"kind":"Backfill","metadata":{"name":"a"}})");
  seen = CounterAfter(seen);
  ASSERT_TRUE(server_.AwaitDelivered());
  server_.ForgetCalls();
  server_.EndStreams("backfills");
  server_.Do(HttpMethod::kPost, kCollection, R"({"kind":"Backfill","metadata":{"name":"b"}})");
  EXPECT_GT(CounterAfter(seen), seen);
  EXPECT_EQ(server_.Count({.verb = "list"}), 0);
}

// R3
TEST_F(ApiStoreTest, R3_AnExpiredWatchListsAgainAndCountsWhatItMayHaveMissed) {
  const std::uint64_t seen = Counter();
  ASSERT_TRUE(server_.AwaitStreams(2));
  server_.ForgetCalls();
  server_.ExpireStreams("backfills");
  EXPECT_GT(CounterAfter(seen), seen);
  EXPECT_EQ(server_.Count({.verb = "list", .plural = "backfills"}), 1);
}

TEST_F(ApiStoreTest, WithoutAServerWaitingIsAnErrorAndThenWorks) {
  server_.GoDown();
  EXPECT_EQ(CodeOf(store_.WaitForChange(0, Time{}, {})), "unavailable");
  server_.ComeBack();
  const std::uint64_t seen = Counter();
  server_.Do(HttpMethod::kPost, kCollection, R"({"kind":"Backfill","metadata":{"name":"a"}})");
  EXPECT_GT(CounterAfter(seen), seen);
}

}  // namespace
}  // namespace backfill::kube
