#include "operator/app/refreshing_finalizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "operator/kube/cache/object_cache.h"
#include "tests/fakes/fake_finalizers.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/fakes/store_levers.h"

namespace backfill::app {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;

// The cache stays where it was, as behind a watch that is late.
class RefreshingFinalizersTest : public testing::Test {
 protected:
  void SetUp() override {
    kube::Object object;
    object.ref = ref_;
    object.content = "{}";
    ASSERT_TRUE(memory_.Create(object, kube::Durability::kPower).ok());
    ASSERT_TRUE(cached_.Refresh(ref_).ok());
    b_.ns = ref_.ns;
    b_.name = ref_.name;
  }
  kube::Object Seen() {
    const auto seen = cached_.Get(ref_);
    EXPECT_TRUE(seen.ok()) << seen.error().message;
    return seen.ok() ? *seen : kube::Object{};
  }
  // Past everything that is tested.
  void SomebodyAnnotates() {
    kube::Object object = *memory_.Get(ref_);
    object.annotations["example.com/a"] = "b";
    ASSERT_TRUE(memory_.Update(object, kube::Durability::kPower).ok());
  }

  const kube::ObjectRef ref_{std::string(kube::kBackfillKind), "shop", "reprice"};
  fakes::ManualClock clock_;
  fakes::MemoryStore memory_{&clock_};
  fakes::StoreLevers live_{memory_};
  kube::ObjectCache cache_;
  kube::CachedStore cached_{live_, cache_, clock_, {}};
  fakes::FakeFinalizers inner_{memory_};
  RefreshingFinalizers finalizers_{inner_, cached_};
  api::Backfill b_;
};

TEST_F(RefreshingFinalizersTest, R21_WhatTheyHaveWrittenIsWhatIsReadNext) {
  ASSERT_TRUE(finalizers_.Add(b_).ok());
  EXPECT_THAT(Seen().finalizers, ElementsAre(api::kDrainFinalizer));
  ASSERT_TRUE(finalizers_.Pause(b_, "SomeReason").ok());
  EXPECT_EQ(Seen().annotations.at(api::kPausedAnnotation), "SomeReason");
  ASSERT_TRUE(finalizers_.Remove(b_).ok());
  EXPECT_THAT(Seen().finalizers, IsEmpty());
}

// What was decided on was older than what is there.
TEST_F(RefreshingFinalizersTest, R25_AfterARefusalTheObjectIsReadLive) {
  SomebodyAnnotates();
  ASSERT_THAT(Seen().annotations, IsEmpty()) << "the cache is behind";
  inner_.FailNext({ErrorCode::kConflict, "it has changed"});
  EXPECT_EQ(finalizers_.Add(b_).error().code, ErrorCode::kConflict);
  EXPECT_THAT(Seen().annotations, Contains(Key("example.com/a")));
}

TEST_F(RefreshingFinalizersTest, WithTheLastFinalizerADeletedObjectIsGoneWhichIsSuccess) {
  ASSERT_TRUE(finalizers_.Add(b_).ok());
  ASSERT_TRUE(memory_.Delete(ref_, "").ok());
  ASSERT_TRUE(memory_.Get(ref_).ok()) << "it is kept";
  const Status removed = finalizers_.Remove(b_);
  EXPECT_TRUE(removed.ok()) << removed.error().message;
  EXPECT_FALSE(memory_.Get(ref_).ok());
  EXPECT_FALSE(cached_.Get(ref_).ok());
}

// Nothing may be decided on what could not be read.
TEST_F(RefreshingFinalizersTest, AWriteAfterWhichNothingCanBeReadIsAnError) {
  const Error away{ErrorCode::kUnavailable, "no server"};
  live_.FailNextReads(1, away);
  EXPECT_EQ(finalizers_.Add(b_).error().code, ErrorCode::kUnavailable);
  live_.FailNextReads(1, away);
  EXPECT_EQ(finalizers_.Pause(b_, "r").error().code, ErrorCode::kUnavailable);
  live_.FailNextReads(1, away);
  EXPECT_EQ(finalizers_.Remove(b_).error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(memory_.Get(ref_)->finalizers, IsEmpty()) << "each was written all the same";
}

TEST_F(RefreshingFinalizersTest, TheFirstErrorIsTheOneThatIsTold) {
  inner_.FailNext({ErrorCode::kConflict, "it has changed"});
  live_.FailNextReads(1, {ErrorCode::kUnavailable, "no server"});
  EXPECT_EQ(finalizers_.Add(b_).error().code, ErrorCode::kConflict);
}

}  // namespace
}  // namespace backfill::app
