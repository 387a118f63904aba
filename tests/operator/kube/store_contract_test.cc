// What every ObjectStore promises, run against each of ours, and against a real API server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/object_writes.h"
#include "tests/operator/kube/store_under_test.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;

class StoreContractTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  StoreContractTest() : subject_(GetParam().make()), store_(subject_->store()) {}

  static ObjectRef Ref(const std::string& name, const std::string& ns = "shop",
                       std::string_view kind = kBackfillKind) {
    return {.kind = std::string(kind), .ns = ns, .name = name};
  }
  static Object Wanted(const ObjectRef& ref, const std::string& content = R"({"spec":{}})") {
    Object o;
    o.ref = ref;
    o.content = content;
    return o;
  }
  Object Created(const ObjectRef& ref, const std::string& content = R"({"spec":{}})") {
    return Must(store_.Create(Wanted(ref, content), Durability::kProcess));
  }
  Object Owned(const ObjectRef& ref, const Object& owner) {
    Object o = Wanted(ref);
    o.owner_uid = owner.uid;
    return Must(store_.Create(o, Durability::kProcess));
  }
  Result<Object> Update(const Object& o) { return store_.Update(o, Durability::kProcess); }
  Result<Object> UpdateStatus(const Object& o) {
    return store_.UpdateStatus(o, Durability::kProcess);
  }

  std::vector<std::string> Names(std::string_view kind, std::string_view ns) {
    std::vector<std::string> names;
    for (const Object& o : Must(store_.List(kind, ns))) {
      if (!subject_->IsOfOthers(o.ref)) names.push_back(o.ref.ns + "/" + o.ref.name);
    }
    return names;
  }
  // In the end only these are left, once what a deleted owner had has gone, too.
  void ExpectLeft(std::string_view kind, const std::vector<std::string>& names) {
    const Time give_up = std::chrono::steady_clock::now() + subject_->nature().collects_within;
    while (Names(kind, "") != names && std::chrono::steady_clock::now() < give_up)
      std::this_thread::sleep_for(100ms);
    EXPECT_EQ(Names(kind, ""), names);
  }
  // A JSON object of so many bytes.
  static std::string OfBytes(std::size_t bytes) {
    const std::string begin = R"({"x":")";
    return begin + std::string(bytes - begin.size() - 2, 'x') + "\"}";
  }
  std::uint64_t Counter() { return Must(store_.WaitForChange(0, Time{}, {})); }

  // Fails the test, but not those after it, which may share a server.
  template <typename T>
  static T Must(Result<T> result) {
    if (result.ok()) return std::move(result).value();
    ADD_FAILURE() << result.error().message;
    return T{};
  }
  template <typename T>
  static std::string CodeOf(const Result<T>& result) {
    return result.ok() ? "ok" : std::string(ToString(result.error().code));
  }
  static std::string Code(ErrorCode code) { return std::string(ToString(code)); }

  std::unique_ptr<StoreUnderTest> subject_;
  ObjectStore& store_;
};

TEST_P(StoreContractTest, CreateStampsUidVersionGenerationAndTime) {
  const std::string before = FormatWallTime(subject_->clock().Wall());
  const Object o = Created(Ref("reprice"));
  EXPECT_EQ(o.uid.size(), 36U);
  EXPECT_FALSE(o.resource_version.empty());
  EXPECT_EQ(o.generation, 1);
  EXPECT_THAT(o.creation_time, AllOf(Ge(before), Le(FormatWallTime(subject_->clock().Wall()))));
  const Object read = Must(store_.Get(Ref("reprice")));
  EXPECT_EQ(read.uid, o.uid);
  EXPECT_EQ(read.resource_version, o.resource_version);
  EXPECT_EQ(read.content, o.content);
}

TEST_P(StoreContractTest, CreateDropsStatusAndWhatOnlyTheStoreSets) {
  Object wanted = Wanted(Ref("reprice"));
  wanted.status = R"({"phase":"Completed"})";
  wanted.uid = "mine";
  wanted.resource_version = "77";
  wanted.generation = 9;
  wanted.finalizers = {"example.com/mine"};
  wanted.deletion_time = "2027-01-15T08:00:00Z";
  const Object o = Must(store_.Create(wanted, Durability::kPower));
  EXPECT_EQ(o.status, "");
  EXPECT_NE(o.uid, "mine");
  EXPECT_NE(o.resource_version, "77");
  EXPECT_EQ(o.generation, 1);
  EXPECT_THAT(o.finalizers, IsEmpty());
  EXPECT_EQ(o.deletion_time, "");
}

TEST_P(StoreContractTest, CreateRefusesATakenName) {
  Created(Ref("reprice"), R"({"spec":1})");
  EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref("reprice")), Durability::kProcess)),
            Code(ErrorCode::kConflict));
  EXPECT_EQ(Must(store_.Get(Ref("reprice"))).content, R"({"spec":1})");
}

TEST_P(StoreContractTest, NamesAreTakenPerKindAndNamespace) {
  Created(Ref("reprice"));
  Created(Ref("reprice", "bar"));
  Created(Ref("reprice", "shop", kConfigMapKind));
  EXPECT_THAT(Names(kBackfillKind, ""), ElementsAre("bar/reprice", "shop/reprice"));
}

TEST_P(StoreContractTest, EveryObjectGetsAUidOfItsOwn) {
  std::set<std::string> uids;
  for (int i = 0; i < 100; ++i) uids.insert(Created(Ref("b" + std::to_string(i))).uid);
  EXPECT_EQ(uids.size(), 100U);
}

TEST_P(StoreContractTest, GetAndUpdateAndDeleteOfNothingSayNotFound) {
  EXPECT_EQ(CodeOf(store_.Get(Ref("none"))), Code(ErrorCode::kNotFound));
  EXPECT_EQ(CodeOf(Update(Wanted(Ref("none")))), Code(ErrorCode::kNotFound));
  EXPECT_EQ(CodeOf(UpdateStatus(Wanted(Ref("none")))), Code(ErrorCode::kNotFound));
  EXPECT_EQ(CodeOf(store_.Delete(Ref("none"), "")), Code(ErrorCode::kNotFound));
}

TEST_P(StoreContractTest, ListIsOrderedAndKeepsToKindAndNamespace) {
  for (const char* name : {"c", "a", "b", "a-1", "a.1"}) Created(Ref(name));
  Created(Ref("z", "other"));
  Created(Ref("x", "shop", kLedgerKind));
  EXPECT_THAT(Names(kBackfillKind, "shop"),
              ElementsAre("shop/a", "shop/a-1", "shop/a.1", "shop/b", "shop/c"));
  EXPECT_THAT(Names(kBackfillKind, ""),
              ElementsAre("other/z", "shop/a", "shop/a-1", "shop/a.1", "shop/b", "shop/c"));
  EXPECT_THAT(Names(kBackfillKind, "shopp"), IsEmpty());
  EXPECT_THAT(Names("Backfil", ""), IsEmpty());
}

TEST_P(StoreContractTest, UpdateReplacesContentAnnotationsAndLabels) {
  Object o = Created(Ref("reprice"));
  o.content = R"({"spec":{"paused":true}})";
  o.annotations = {{"backfill.dev/paused", "lunch"}};
  o.labels = {{"team", "payments"}};
  const Object updated = Must(Update(o));
  const Object read = Must(store_.Get(o.ref));
  EXPECT_EQ(read.content, o.content);
  EXPECT_EQ(read.annotations, o.annotations);
  EXPECT_EQ(read.labels, o.labels);
  EXPECT_EQ(read.resource_version, updated.resource_version);
  EXPECT_NE(read.resource_version, o.resource_version);
  EXPECT_EQ(read.uid, o.uid);
  EXPECT_EQ(read.creation_time, o.creation_time);
}

TEST_P(StoreContractTest, GenerationCountsChangesOfContentOnly) {
  Object o = Created(Ref("reprice"));
  o.annotations = {{"a", "b"}};
  o = Must(Update(o));
  EXPECT_EQ(o.generation, 1);
  o.status = R"({"phase":"Running"})";
  o = Must(UpdateStatus(o));
  EXPECT_EQ(o.generation, 1);
  o.content = "{}";
  o = Must(Update(o));
  EXPECT_EQ(o.generation, 2);
}

TEST_P(StoreContractTest, UpdateLeavesTheStatusAlone) {
  Object o = Created(Ref("reprice"));
  o.status = R"({"phase":"Running"})";
  o = Must(UpdateStatus(o));
  o.status = R"({"phase":"Completed"})";
  o.content = "{}";
  EXPECT_EQ(Must(Update(o)).status, R"({"phase":"Running"})");
  EXPECT_EQ(Must(store_.Get(o.ref)).status, R"({"phase":"Running"})");
}

TEST_P(StoreContractTest, UpdateStatusLeavesEverythingElseAlone) {
  Object o = Created(Ref("reprice"), R"({"spec":1})");
  o.content = R"({"spec":2})";
  o.annotations = {{"a", "b"}};
  o.labels = {{"c", "d"}};
  o.status = R"({"phase":"Running"})";
  const Object updated = Must(UpdateStatus(o));
  const Object read = Must(store_.Get(o.ref));
  EXPECT_EQ(read.content, R"({"spec":1})");
  EXPECT_THAT(read.annotations, IsEmpty());
  EXPECT_THAT(read.labels, IsEmpty());
  EXPECT_EQ(read.status, o.status);
  EXPECT_EQ(read.resource_version, updated.resource_version);
}

TEST_P(StoreContractTest, AnOldVersionIsAConflictAndChangesNothing) {
  const Object old = Created(Ref("reprice"));
  Object o = old;
  o.content = R"({"spec":2})";
  Must(Update(o));
  Object late = old;
  late.content = R"({"spec":3})";
  late.status = "{}";
  EXPECT_EQ(CodeOf(Update(late)), Code(ErrorCode::kConflict));
  EXPECT_EQ(CodeOf(UpdateStatus(late)), Code(ErrorCode::kConflict));
  late.resource_version.clear();
  EXPECT_EQ(CodeOf(Update(late)), Code(ErrorCode::kConflict));
  const Object read = Must(store_.Get(o.ref));
  EXPECT_EQ(read.content, R"({"spec":2})");
  EXPECT_EQ(read.status, "");
}

TEST_P(StoreContractTest, AnUpdateOfAnOldVersionIsAConflictEvenIfItWouldChangeNothing) {
  const Object old = Created(Ref("reprice"));
  Object o = old;
  o.annotations = {{"a", "b"}};
  Must(Update(o));
  Object same = Must(store_.Get(o.ref));
  same.resource_version = old.resource_version;
  EXPECT_EQ(CodeOf(Update(same)), Code(ErrorCode::kConflict));
}

TEST_P(StoreContractTest, AnUpdateThatChangesNothingKeepsTheVersionAndIsNoChange) {
  Object o = Created(Ref("reprice"));
  o.status = "{}";
  o = Must(UpdateStatus(o));
  const std::uint64_t counter = Counter();
  EXPECT_EQ(Must(Update(o)).resource_version, o.resource_version);
  EXPECT_EQ(Must(UpdateStatus(o)).resource_version, o.resource_version);
  EXPECT_EQ(Counter(), counter);
}

TEST_P(StoreContractTest, DeleteRemovesTheObject) {
  const Object o = Created(Ref("reprice"));
  Must(store_.Delete(o.ref, o.uid));
  EXPECT_EQ(CodeOf(store_.Get(o.ref)), Code(ErrorCode::kNotFound));
  EXPECT_NE(Created(o.ref).uid, o.uid);
}

TEST_P(StoreContractTest, DeleteOfAnotherUidIsAConflict) {
  const Object o = Created(Ref("reprice"));
  EXPECT_EQ(CodeOf(store_.Delete(o.ref, "another")), Code(ErrorCode::kConflict));
  EXPECT_EQ(Must(store_.Get(o.ref)).uid, o.uid);
  Must(store_.Delete(o.ref, ""));
}

TEST_P(StoreContractTest, DeletingAnOwnerDeletesWhatItOwnsAtAnyDepth) {
  const Object owner = Created(Ref("reprice"));
  const Object other = Created(Ref("other"));
  const Object chunk = Owned(Ref("reprice-0000", "shop", kLedgerKind), owner);
  Owned(Ref("of-chunk", "shop", kConfigMapKind), chunk);
  Owned(Ref("other-0000", "shop", kLedgerKind), other);
  Created(Ref("reprice-report", "shop", kConfigMapKind));
  Must(store_.Delete(owner.ref, owner.uid));
  ExpectLeft(kBackfillKind, {"shop/other"});
  ExpectLeft(kLedgerKind, {"shop/other-0000"});
  ExpectLeft(kConfigMapKind, {"shop/reprice-report"});
}

TEST_P(StoreContractTest, TheOwnerSurvivesTheRoundTrip) {
  const Object owner = Created(Ref("reprice"));
  Owned(Ref("reprice-0000", "shop", kLedgerKind), owner);
  EXPECT_EQ(Must(store_.Get(Ref("reprice-0000", "shop", kLedgerKind))).owner_uid, owner.uid);
  EXPECT_EQ(Must(store_.List(kLedgerKind, "shop")).at(0).owner_uid, owner.uid);
}

TEST_P(StoreContractTest, HostileNamesAreRefused) {
  const std::vector<std::string> names{"",        "'; DROP TABLE objects; --",
                                       "a\"b",    std::string("a\0b", 3),
                                       "Reprice", "a/b",
                                       "../a",    "a b",
                                       "-a",      "a-",
                                       "\x1b[2J", "\xff",
                                       "a\n",     std::string(254, 'a')};
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref(name)), Durability::kProcess)),
              Code(ErrorCode::kInvalid));
    EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref("a", name)), Durability::kProcess)),
              Code(ErrorCode::kInvalid));
    EXPECT_EQ(CodeOf(store_.Get(Ref(name))), Code(ErrorCode::kNotFound));
    EXPECT_EQ(CodeOf(store_.Delete(Ref(name), "")), Code(ErrorCode::kNotFound));
  }
  EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref("a", "b", "Back fill")), Durability::kProcess)),
            Code(ErrorCode::kInvalid));
  EXPECT_EQ(CodeOf(store_.Create(Wanted(Ref("a", std::string(64, 'n'))), Durability::kProcess)),
            Code(ErrorCode::kInvalid));
  EXPECT_THAT(Names(kBackfillKind, ""), IsEmpty());
}

TEST_P(StoreContractTest, RefusalsShowNoControlCharacters) {
  const auto result = store_.Create(Wanted(Ref("\x1b[2Jx\n")), Durability::kProcess);
  ASSERT_FALSE(result.ok());
  for (const char c : result.error().message) EXPECT_TRUE(c >= ' ' && c <= '~');
}

TEST_P(StoreContractTest, HostileBodiesAreStoredAsTheyAreOrRefused) {
  const std::string quotes = R"({"a":"'\" ; -- %s ?1 {} \u0000"})";
  Object o = Created(Ref("reprice"), quotes);
  o.annotations = {{"q'\"", "line\nbreak\ttab \x7f \xc3\xa4 \xf0\x9f\x98\x80"}, {"empty", ""}};
  o.labels = {{"", "{}"}};
  if (!subject_->nature().any_label) {
    EXPECT_EQ(CodeOf(Update(o)), Code(ErrorCode::kInvalid));
    o.annotations = {{"q", o.annotations.at("q'\"")}, {"empty", ""}};
    o.labels = {{"a", "b"}};
  }
  o = Must(Update(o));
  const Object read = Must(store_.Get(o.ref));
  EXPECT_EQ(read.content, quotes);
  EXPECT_EQ(read.annotations, o.annotations);
  EXPECT_EQ(read.labels, o.labels);

  for (const std::string& bad :
       {std::string("a\0b", 3), std::string("\xff"), std::string("\xc0\x80"),
        std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"), std::string("\xe2\x82")}) {
    Object broken = read;
    broken.content = bad;
    EXPECT_EQ(CodeOf(Update(broken)), Code(ErrorCode::kInvalid));
    broken = read;
    broken.annotations = {{"a", bad}};
    EXPECT_EQ(CodeOf(Update(broken)), Code(ErrorCode::kInvalid));
    broken = read;
    broken.labels = {{bad, "a"}};
    EXPECT_EQ(CodeOf(Update(broken)), Code(ErrorCode::kInvalid));
    broken = read;
    broken.status = bad;
    EXPECT_EQ(CodeOf(UpdateStatus(broken)), Code(ErrorCode::kInvalid));
  }
  EXPECT_EQ(Must(store_.Get(o.ref)).resource_version, read.resource_version);
}

TEST_P(StoreContractTest, AnObjectMayBeLargeButNotTooLarge) {
  Object o = Created(Ref("reprice"));
  const std::size_t room = subject_->nature().room;
  o.content = OfBytes(kMaxObjectBytes - room);
  o = Must(Update(o));
  EXPECT_EQ(Must(store_.Get(o.ref)).content.size(), kMaxObjectBytes - room);

  Object larger = o;
  larger.status = OfBytes(room);
  EXPECT_EQ(CodeOf(UpdateStatus(larger)), Code(ErrorCode::kInvalid));
  larger = o;
  larger.content = OfBytes(kMaxObjectBytes);
  EXPECT_EQ(CodeOf(Update(larger)), Code(ErrorCode::kInvalid));
  larger.ref.name = "another";
  EXPECT_EQ(CodeOf(store_.Create(larger, Durability::kProcess)), Code(ErrorCode::kInvalid));
  EXPECT_EQ(Must(store_.Get(o.ref)).resource_version, o.resource_version);
}

TEST_P(StoreContractTest, TheCounterGrowsWithEveryChange) {
  const std::uint64_t empty = Counter();
  Object o = Created(Ref("reprice"));
  const std::uint64_t created = Counter();
  EXPECT_GT(created, empty);
  o.content = "{}";
  o = Must(Update(o));
  const std::uint64_t updated = Counter();
  EXPECT_GT(updated, created);
  o.status = "{}";
  Must(UpdateStatus(o));
  const std::uint64_t status = Counter();
  EXPECT_GT(status, updated);
  Must(store_.Delete(o.ref, ""));
  EXPECT_GT(Counter(), status);
}

TEST_P(StoreContractTest, WaitForChangeReturnsAtOnceWhenSomethingHasChangedAlready) {
  Created(Ref("reprice"));
  const std::uint64_t now = Counter();
  const Time begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Must(store_.WaitForChange(now - 1, begin + 20s, {})), now);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_P(StoreContractTest, WaitForChangeReturnsAtTheDeadline) {
  const std::uint64_t seen = Counter();
  const Time begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Must(store_.WaitForChange(seen, begin + 60ms, {})), seen);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 60ms);
}

TEST_P(StoreContractTest, WaitForChangeReturnsOnStop) {
  const std::uint64_t seen = Counter();
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const Time begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Must(store_.WaitForChange(seen, begin + 20s, stop.get_token())), seen);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_P(StoreContractTest, WaitForChangeWakesForAWriteOfAnotherThread) {
  const std::uint64_t seen = Counter();
  std::jthread writer([&] { Created(Ref("reprice")); });
  const Time begin = std::chrono::steady_clock::now();
  EXPECT_GT(Must(store_.WaitForChange(seen, begin + 20s, {})), seen);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_P(StoreContractTest, ConcurrentOptimisticIncrementsLoseNothing) {
  const auto counted = [](int n) { return R"({"n":)" + std::to_string(n) + "}"; };
  Created(Ref("counter"), counted(0));
  constexpr int kThreads = 4;
  constexpr int kEach = 50;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int done = 0; done < kEach;) {
          Object o = Must(store_.Get(Ref("counter")));
          o.content = counted(std::stoi(o.content.substr(5)) + 1);
          const auto result = Update(o);
          if (result.ok()) {
            ++done;
          } else {
            EXPECT_EQ(CodeOf(result), Code(ErrorCode::kConflict));
          }
        }
      });
    }
  }
  const Object o = Must(store_.Get(Ref("counter")));
  EXPECT_EQ(o.content, counted(kThreads * kEach));
  EXPECT_EQ(o.generation, 1 + kThreads * kEach);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContractTest, ::testing::ValuesIn(StoresOfThisBinary()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace backfill::kube
