#include "operator/kube/runtime/enqueue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "tests/fakes/manual_clock.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

constexpr ResourceType kBackfillType{.group = "backfill.dev",
                                     .version = "v1alpha1",
                                     .plural = "backfills",
                                     .kind = "Backfill",
                                     .namespaced = true};
constexpr ResourceType kJobType{
    .group = "batch", .version = "v1", .plural = "jobs", .kind = "Job", .namespaced = true};

class EnqueueTest : public testing::Test {
 protected:
  static std::shared_ptr<ApiObject> Object(const std::string& name) {
    auto object = std::make_shared<ApiObject>();
    object->meta.ns = "shop";
    object->meta.name = name;
    object->meta.uid = "u-" + name;
    return object;
  }
  static ApiObjectPtr ChildOf(const std::string& owner,
                              const std::string& api_version = "backfill.dev/v1beta1",
                              const std::string& kind = "Backfill", bool controller = true) {
    auto child = Object(owner + "-run");
    child->meta.owners.push_back({.api_version = api_version,
                                  .kind = kind,
                                  .name = owner,
                                  .uid = "u-" + owner,
                                  .controller = controller});
    return child;
  }
  static Delta Of(DeltaType type, ApiObjectPtr object, DeltaOrigin origin = DeltaOrigin::kWatch,
                  ApiObjectPtr old = nullptr) {
    return {.type = type, .origin = origin, .old = std::move(old), .object = std::move(object)};
  }
  std::optional<WorkQueue::Taken> Take() {
    auto taken = queue_.TryPop();
    if (taken) queue_.Done(taken->key);
    return taken;
  }

  const ObjectKey kKey{"shop", "a"};
  fakes::ManualClock clock_;
  NoMetrics none_;
  WorkQueue queue_{{.name = "test"}, clock_, none_};
  WriteGuard guard_{{}};
  EnqueueObject objects_{queue_, guard_};
  EnqueueOwner owners_{queue_, guard_, kJobType, kBackfillType};
};

TEST_F(EnqueueTest, R17_AChangeIsAddedAtOnceAndAListWithLowPriority) {
  objects_.OnDelta(Of(DeltaType::kAdded, Object("a"), DeltaOrigin::kFirstList));
  EXPECT_EQ(Take()->priority, Priority::kLow);
  objects_.OnDelta(Of(DeltaType::kUpdated, Object("a"), DeltaOrigin::kRelist, Object("a")));
  EXPECT_EQ(Take()->priority, Priority::kLow);
  objects_.OnDelta(Of(DeltaType::kUpdated, Object("a"), DeltaOrigin::kWatch, Object("a")));
  const auto taken = Take();
  EXPECT_EQ(taken->key, kKey);
  EXPECT_EQ(taken->priority, Priority::kNormal);
}

TEST_F(EnqueueTest, R22_OfAnObjectThatWentNothingIsKnown) {
  guard_.OnLiveRead(kKey, {.resource = "backfills", .object = kKey, .version = "1"}, {});
  objects_.OnDelta(Of(DeltaType::kUpdated, Object("a"), DeltaOrigin::kWatch, Object("a")));
  EXPECT_FALSE(guard_.MustReadLive(kKey));
  objects_.OnDelta(Of(DeltaType::kDeleted, Object("a")));
  EXPECT_TRUE(guard_.MustReadLive(kKey));
}

TEST_F(EnqueueTest, R17_ChangesOfChildrenWaitASecondAndMerge) {
  owners_.OnDelta(Of(DeltaType::kAdded, ChildOf("a")));
  clock_.Advance(500ms);
  owners_.OnDelta(Of(DeltaType::kUpdated, ChildOf("a"), DeltaOrigin::kWatch, ChildOf("a")));
  EXPECT_FALSE(Take());
  clock_.Advance(500ms);
  EXPECT_EQ(Take()->key, kKey);
  clock_.Advance(1h);
  EXPECT_FALSE(Take());
}

TEST_F(EnqueueTest, AChildThatChangedItsOwnerConcernsBoth) {
  owners_.OnDelta(Of(DeltaType::kUpdated, ChildOf("b"), DeltaOrigin::kWatch, ChildOf("a")));
  clock_.Advance(1s);
  EXPECT_EQ(Take()->key.name, "a");
  EXPECT_EQ(Take()->key.name, "b");
}

TEST_F(EnqueueTest, OthersChildrenConcernNobody) {
  owners_.OnDelta(Of(DeltaType::kAdded, Object("orphan")));
  owners_.OnDelta(Of(DeltaType::kAdded, ChildOf("a", "backfill.dev/v1", "Other")));
  owners_.OnDelta(Of(DeltaType::kAdded, ChildOf("a", "batch/v1")));
  owners_.OnDelta(Of(DeltaType::kAdded, ChildOf("a", "v1")));
  owners_.OnDelta(Of(DeltaType::kAdded, ChildOf("a", "backfill.dev/v1", "Backfill", false)));
  clock_.Advance(1h);
  EXPECT_FALSE(Take());
}

TEST_F(EnqueueTest, R21_WhatTheCacheShowsFulfilsExpectations) {
  Caches caches;
  const auto open = [&] { return guard_.Check(kKey, caches, clock_.Steady()).open; };
  guard_.Expect(kKey,
                {.kind = ExpectedChange::Kind::kCreated,
                 .resource = "jobs",
                 .object = {"shop", "a-run"},
                 .uid = {}},
                clock_.Steady());
  EXPECT_FALSE(open());
  owners_.OnDelta(Of(DeltaType::kAdded, ChildOf("a")));
  EXPECT_TRUE(open());
  guard_.Expect(kKey,
                {.kind = ExpectedChange::Kind::kDeleted,
                 .resource = "jobs",
                 .object = {"shop", "a-run"},
                 .uid = "u-a-run"},
                clock_.Steady());
  EXPECT_FALSE(open());
  owners_.OnDelta(Of(DeltaType::kDeleted, ChildOf("a")));
  EXPECT_TRUE(open());
}

TEST_F(EnqueueTest, R13_R21_TheCachesAreSyncedTogetherAndSeenEachForItself) {
  ObjectCache jobs, backfills;
  Caches caches;
  EXPECT_TRUE(caches.HasSynced());
  caches.Add(kJobType, jobs);
  caches.Add(kBackfillType, backfills);
  EXPECT_FALSE(caches.HasSynced());
  jobs.Replace({}, "10");
  EXPECT_FALSE(caches.HasSynced());
  backfills.Replace({}, "20");
  EXPECT_TRUE(caches.HasSynced());
  EXPECT_FALSE(caches.HasSeen("jobs", kKey, "15"));
  EXPECT_TRUE(caches.HasSeen("backfills", kKey, "15"));
  jobs.Advance("15");  // a bookmark
  EXPECT_TRUE(caches.HasSeen("jobs", kKey, "15"));
  EXPECT_TRUE(caches.HasSeen("pods", kKey, "15"));  // nobody caches them
}

}  // namespace
}  // namespace backfill::kube
