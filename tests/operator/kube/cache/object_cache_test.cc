#include "operator/kube/cache/object_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/operator/kube/cache/object_text.h"

namespace backfill::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Named(const ApiObjectPtr& object) {
  return object->meta.name + "@" + object->meta.resource_version;
}

std::vector<std::string> Named(const std::vector<ApiObjectPtr>& objects) {
  std::vector<std::string> names;
  for (const ApiObjectPtr& object : objects) names.push_back(Named(object));
  return names;
}

// Writes down what it is told, and what the cache says at that moment.
class Recorder final : public CacheListener {
 public:
  explicit Recorder(const ObjectCache& cache) : cache_(cache) {}
  void OnDelta(const Delta& delta) override {
    std::string text;
    if (delta.type == DeltaType::kAdded) text = "+" + Named(delta.object);
    if (delta.type == DeltaType::kUpdated) text = Named(delta.old) + ">" + Named(delta.object);
    if (delta.type == DeltaType::kDeleted) text = "-" + Named(delta.object);
    if (delta.origin == DeltaOrigin::kFirstList) text += " first";
    if (delta.origin == DeltaOrigin::kRelist) text += " relist";
    heard_.push_back(text);
    sizes_.push_back(cache_.size());
    synced_ = cache_.HasSynced();
  }
  void OnVersion(std::string_view version) override { versions_.emplace_back(version); }

  std::vector<std::string> Take() { return std::exchange(heard_, {}); }

  const ObjectCache& cache_;
  std::vector<std::string> heard_;
  std::vector<std::string> versions_;
  std::vector<std::size_t> sizes_;
  bool synced_ = false;
};

ApiObjectPtr Owned(std::string_view name, std::string_view version, std::string_view owner,
                   std::string_view stage) {
  auto object = std::make_shared<ApiObject>(*Object(name, version));
  object->meta.owners.push_back({.api_version = "batch/v1",
                                 .kind = "Job",
                                 .name = "j",
                                 .uid = std::string(owner),
                                 .controller = true});
  object->meta.labels["stage"] = stage;
  return object;
}

class ObjectCacheTest : public ::testing::Test {
 protected:
  ObjectCacheTest() { cache_.AddListener(&listener_); }
  // At 100, with a@1 and b@2, and nothing heard yet.
  void Fill() {
    cache_.Replace({Object("b", "2"), Object("a", "1")}, "100");
    listener_.Take();
  }

  ObjectCache cache_{{ByController(), ByLabel("stage", "stage")}};
  Recorder listener_{cache_};
};

TEST_F(ObjectCacheTest, TheFirstListIsDeliveredBeforeItCountsAsSynced) {  // R13
  EXPECT_FALSE(cache_.HasSynced());
  cache_.Replace({Object("b", "2"), Object("a", "1")}, "100");
  EXPECT_THAT(listener_.Take(), ElementsAre("+a@1 first", "+b@2 first"));
  EXPECT_FALSE(listener_.synced_);
  EXPECT_TRUE(cache_.HasSynced());
  EXPECT_THAT(Named(cache_.List()), ElementsAre("a@1", "b@2"));
  EXPECT_EQ(cache_.version(), "100");
}

TEST_F(ObjectCacheTest, AnEmptyFirstListSyncs) {
  cache_.Replace({}, "100");
  EXPECT_TRUE(cache_.HasSynced());
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(ObjectCacheTest, R8_ARelistReplacesAtOnceAndDeliversDeletionsWithTheLastKnownObject) {
  Fill();
  cache_.Replace({Object("a", "5"), Object("c", "3"), Object("b", "2")}, "110");
  EXPECT_THAT(listener_.Take(), ElementsAre("a@1>a@5 relist", "+c@3 relist"));
  cache_.Replace({Object("c", "3")}, "120");
  EXPECT_THAT(listener_.Take(), ElementsAre("-a@5 relist", "-b@2 relist"));
  // At each of these readers saw all of it.
  EXPECT_THAT(listener_.sizes_, ElementsAre(2, 2, 3, 3, 1, 1));
}

TEST_F(ObjectCacheTest, R12_ARelistWithAnotherUidIsADeletionAndAnAddition) {
  Fill();
  cache_.Replace({Object("a", "7", "other"), Object("b", "2")}, "110");
  EXPECT_THAT(listener_.Take(), ElementsAre("-a@1 relist", "+a@7 relist"));
}

TEST_F(ObjectCacheTest, AListThatRepeatsAnObjectHasItOnce) {
  cache_.Replace({Object("a", "1"), Object("b", "2"), Object("a", "3")}, "100");
  EXPECT_THAT(Named(cache_.List()), ElementsAre("a@3", "b@2"));
  EXPECT_THAT(listener_.Take(), ElementsAre("+a@3 first", "+b@2 first"));
}

TEST_F(ObjectCacheTest, AServerThatWasRestoredIsBelieved) {
  Fill();
  cache_.Replace({Object("b", "1"), Object("c", "2")}, "50");
  EXPECT_THAT(listener_.Take(), ElementsAre("-a@1 relist", "b@2>b@1 relist", "+c@2 relist"));
  EXPECT_EQ(cache_.version(), "50");
  // It has given the version to another state.
  cache_.Replace({Object("b", "1"), Object("c", "2")}, "40");
  EXPECT_THAT(listener_.Take(), ElementsAre("b@1>b@1 relist", "c@2>c@2 relist"));
}

TEST_F(ObjectCacheTest, AnObjectThatARelistFindsUnchangedStaysTheSame) {
  Fill();
  const ApiObjectPtr before = cache_.Get("shop", "a");
  cache_.Replace({Object("a", "1"), Object("b", "2")}, "110");
  EXPECT_EQ(cache_.Get("shop", "a"), before);
  EXPECT_THAT(listener_.Take(), IsEmpty());
}

TEST_F(ObjectCacheTest, WhatExistsButCannotBeReadIsNotGone) {
  Fill();
  cache_.Replace({Object("c", "3")}, "110",
                 {{.ns = "shop", .name = "a"}, {.ns = "shop", .name = "never-read"}});
  EXPECT_THAT(listener_.Take(), ElementsAre("-b@2 relist", "+c@3 relist"));
  EXPECT_THAT(Named(cache_.List()), ElementsAre("a@1", "c@3"));
  cache_.Replace({Object("a", "120")}, "120", {{.ns = "shop", .name = "a"}});
  EXPECT_THAT(listener_.Take(), ElementsAre("a@1>a@120 relist", "-c@3 relist"));
}

TEST_F(ObjectCacheTest, ChangesAreAppliedAndDelivered) {
  Fill();
  cache_.Apply(Added(Object("c", "101")), "101");
  cache_.Apply(Modified(Object("a", "102")), "102");
  cache_.Apply(Deleted(Object("b", "103")), "103");
  EXPECT_THAT(listener_.Take(), ElementsAre("+c@101", "a@1>a@102", "-b@103"));
  EXPECT_THAT(Named(cache_.List()), ElementsAre("a@102", "c@101"));
  EXPECT_EQ(cache_.Get("shop", "b"), nullptr);
  EXPECT_EQ(Named(cache_.Get("shop", "c")), "c@101");
}

TEST_F(ObjectCacheTest, WhatTheCacheHasDecidesWhatAChangeIs) {
  Fill();
  cache_.Apply(Modified(Object("new", "101")), "101");
  cache_.Apply(Added(Object("a", "102")), "102");
  cache_.Apply(Deleted(Object("gone", "103")), "103");
  EXPECT_THAT(listener_.Take(), ElementsAre("+new@101", "a@1>a@102"));
  EXPECT_EQ(cache_.version(), "103");
}

TEST_F(ObjectCacheTest, R12_TheSameNameWithAnotherUidIsADeletionAndAnAddition) {
  Fill();
  cache_.Apply(Modified(Object("a", "101", "other")), "101");
  EXPECT_THAT(listener_.Take(), ElementsAre("-a@1", "+a@101"));
  // One that came and went while nobody looked: with it went the one before.
  cache_.Apply(Deleted(Object("b", "102", "other")), "102");
  EXPECT_THAT(listener_.Take(), ElementsAre("-b@2"));
}

TEST_F(ObjectCacheTest, R12_WhatIsCertainlyOlderOrTheSameChangesNothing) {
  Fill();
  cache_.Apply(Modified(Object("a", "101")), "101");
  listener_.Take();
  cache_.Apply(Modified(Object("a", "101")), "");
  cache_.Apply(Modified(Object("a", "99")), "");
  cache_.Apply(Deleted(Object("a", "99")), "");
  cache_.Apply(Added(Object("a", "99", "former")), "");
  EXPECT_THAT(listener_.Take(), IsEmpty());
  EXPECT_EQ(Named(cache_.Get("shop", "a")), "a@101");
  EXPECT_EQ(cache_.version(), "101");
}

TEST_F(ObjectCacheTest, R12_OpaqueVersionsAreTakenInTheOrderTheyCome) {
  cache_.Replace({Object("a", "zz")}, "zz");
  listener_.Take();
  cache_.Apply(Modified(Object("a", "aa")), "aa");
  cache_.Apply(Modified(Object("a", "aa")), "aa");
  EXPECT_THAT(listener_.Take(), ElementsAre("a@zz>a@aa"));
}

TEST_F(ObjectCacheTest, R10_WhatAReaderHasStaysAsItIs) {
  Fill();
  const ApiObjectPtr before = cache_.Get("shop", "a");
  cache_.Apply(Modified(Object("a", "101")), "101");
  cache_.Replace({}, "110");
  EXPECT_EQ(Named(before), "a@1");
}

TEST_F(ObjectCacheTest, R13_IndexesFollowTheObjects) {
  cache_.Replace({Owned("p1", "1", "job-1", "run"), Owned("p2", "2", "job-1", "dry-run"),
                  Owned("p3", "3", "job-2", "run"), Object("free", "4")},
                 "100");
  EXPECT_THAT(Named(cache_.Find("controller", "job-1")), ElementsAre("p1@1", "p2@2"));
  EXPECT_THAT(Named(cache_.Find("stage", "run")), ElementsAre("p1@1", "p3@3"));
  cache_.Apply(Modified(Owned("p1", "101", "job-1", "verify")), "101");
  EXPECT_THAT(Named(cache_.Find("controller", "job-1")), ElementsAre("p1@101", "p2@2"));
  EXPECT_THAT(Named(cache_.Find("stage", "run")), ElementsAre("p3@3"));
  EXPECT_THAT(Named(cache_.Find("stage", "verify")), ElementsAre("p1@101"));
  cache_.Apply(Deleted(Owned("p3", "102", "job-2", "run")), "102");
  EXPECT_THAT(cache_.Find("controller", "job-2"), IsEmpty());
  cache_.Replace({Owned("p2", "105", "job-9", "run")}, "110");
  EXPECT_THAT(cache_.Find("controller", "job-1"), IsEmpty());
  EXPECT_THAT(Named(cache_.Find("controller", "job-9")), ElementsAre("p2@105"));
}

TEST_F(ObjectCacheTest, ListsByNamespace) {
  const auto in = [](std::string_view ns, std::string_view name) {
    auto object = std::make_shared<ApiObject>(*Object(name, "1"));
    object->meta.ns = ns;
    return ApiObjectPtr(object);
  };
  cache_.Replace({in("b", "x"), in("a", "z"), in("b", "a"), in("c", "a")}, "100");
  EXPECT_THAT(Named(cache_.List("b")), ElementsAre("a@1", "x@1"));
  EXPECT_THAT(cache_.List("none"), IsEmpty());
  EXPECT_EQ(cache_.List().size(), 4U);
}

TEST_F(ObjectCacheTest, R21_KnowsWhichWritesItHasSeen) {
  const ObjectKey a{.ns = "shop", .name = "a"};
  EXPECT_FALSE(cache_.HasSeen(a, "1"));
  Fill();
  EXPECT_TRUE(cache_.HasSeen(a, "100"));
  EXPECT_TRUE(cache_.HasSeen(a, "99"));
  EXPECT_FALSE(cache_.HasSeen(a, "101"));
  EXPECT_FALSE(cache_.HasSeen(a, ""));
  cache_.Advance("150");  // a bookmark counts
  EXPECT_TRUE(cache_.HasSeen(a, "101"));
  EXPECT_THAT(listener_.versions_, ElementsAre("100", "150"));
}

TEST_F(ObjectCacheTest, R21_RecognisesOpaqueVersionsByEqualityAlone) {
  const ObjectKey a{.ns = "shop", .name = "a"};
  cache_.Replace({Object("a", "v5"), Object("b", "v6")}, "v9");
  EXPECT_TRUE(cache_.HasSeen(a, "v5"));
  EXPECT_TRUE(cache_.HasSeen(a, "v9"));
  EXPECT_FALSE(cache_.HasSeen(a, "v6"));
  EXPECT_FALSE(cache_.HasSeen(a, "v1"));
}

TEST(ObjectCacheThreadsTest, R13_ReadersSeeObjectsAndIndexesOfOneMoment) {
  ObjectCache cache{{ByLabel("stage", "stage")}};
  cache.Replace({}, "1");
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  const auto read = [&] {
    while (!stop.load()) {
      // Ten of one generation, or none.
      const auto all = cache.List();
      ASSERT_TRUE(all.empty() || all.size() == 10) << all.size();
      for (const ApiObjectPtr& object : all)
        ASSERT_EQ(object->meta.resource_version, all.front()->meta.resource_version);
      const auto found = cache.Find("stage", "run");
      ASSERT_TRUE(found.empty() || found.size() == 10) << found.size();
      ++reads;
    }
  };
  std::jthread one(read);
  std::jthread two(read);
  for (int generation = 2; generation < 300 || reads.load() < 100; ++generation) {
    std::vector<ApiObjectPtr> objects;
    for (int i = 0; generation % 3 != 0 && i < 10; ++i) {
      objects.push_back(Owned("p" + std::to_string(i), std::to_string(generation), "job", "run"));
    }
    cache.Replace(std::move(objects), std::to_string(generation));
  }
  stop = true;
}

}  // namespace
}  // namespace backfill::kube
