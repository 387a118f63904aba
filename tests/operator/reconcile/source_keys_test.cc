#include "operator/reconcile/source_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "operator/api/decode.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"

namespace backfill::reconcile {
namespace {

using ledger::FailureClass;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SourceKeysTest : public testing::Test {
 protected:
  SourceKeysTest() {
    retry_.name = "second";
    retry_.ns = "shop";
    retry_.spec.source = api::FailuresOfSource{.name = "first", .ns = {}, .classes = {}};
    retry_.spec.target.url = "http://orders/{{key}}";
  }

  // A Backfill that is stored, and has ended or not.
  void There(const std::string& name, const api::Source& source, bool ended = true,
             const std::string& ns = "shop") {
    api::Backfill b;
    b.name = name;
    b.ns = ns;
    b.spec = retry_.spec;
    b.spec.source = source;
    const auto created = memory_.Create(api::ToObject(b), kube::Durability::kPower);
    ASSERT_TRUE(created.ok()) << created.error().message;
    b = api::FromObject(*created).value();
    b.status.conditions = {{"Succeeded",
                            ended ? api::ConditionStatus::kFalse : api::ConditionStatus::kUnknown,
                            "R", "", 1, ""}};
    ASSERT_TRUE(memory_.UpdateStatus(api::ToObject(b), kube::Durability::kPower).ok());
  }
  void Failed(const std::string& key, FailureClass how, const std::string& of = "first") {
    ledger::FailedRecord record;
    record.key = key;
    record.failure_class = how;
    failures_[of].push_back(record);
  }

  Result<api::Spec> Resolve() {
    return ResolveSource(retry_, memory_, [this](const StageKey& key) {
      EXPECT_EQ(key.stage, Stage::kRun);
      EXPECT_FALSE(key.uid.empty());
      return Result<std::vector<ledger::FailedRecord>>(failures_[key.name]);
    });
  }
  std::vector<std::string> Keys() {
    const auto spec = Resolve();
    EXPECT_TRUE(spec.ok()) << spec.error().message;
    return std::get<api::KeysSource>(spec->source).keys;
  }
  void ExpectRefused(const std::string& message) {
    const auto spec = Resolve();
    ASSERT_FALSE(spec.ok());
    EXPECT_EQ(spec.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(spec.error().message, HasSubstr("spec.source.failuresOf: " + message));
  }

  fakes::ManualClock clock_;
  fakes::MemoryStore memory_{&clock_};
  std::map<std::string, std::vector<ledger::FailedRecord>> failures_;
  api::Backfill retry_;
};

TEST_F(SourceKeysTest, AnotherSourceMeansItself) {
  retry_.spec.source = api::RangeSource{0, 10};
  EXPECT_EQ(*Resolve(), retry_.spec);
}

TEST_F(SourceKeysTest, FailuresMeanTheirKeys) {
  There("first", api::KeysSource{.keys = {"a", "b", "c"}});
  Failed("c", FailureClass::kTimeout);
  Failed("a", FailureClass::kPermanent);
  EXPECT_THAT(Keys(), ElementsAre("c", "a"));
}

TEST_F(SourceKeysTest, ClassesSelect) {
  There("first", api::KeysSource{.keys = {"a"}});
  Failed("a", FailureClass::kTimeout);
  Failed("b", FailureClass::kPermanent);
  Failed("c", FailureClass::kConflict);
  Failed("d", FailureClass::kTransient);
  std::get<api::FailuresOfSource>(retry_.spec.source).classes = {"transient", "timeout"};
  EXPECT_THAT(Keys(), ElementsAre("a", "d"));
}

TEST_F(SourceKeysTest, NothingFailedMeansNothing) {
  There("first", api::RangeSource{0, 10});
  EXPECT_THAT(Keys(), IsEmpty());
}

TEST_F(SourceKeysTest, TheOtherMayBeInAnotherNamespace) {
  There("first", api::RangeSource{0, 10}, /*ended=*/true, "billing");
  ExpectRefused("there is no Backfill first in namespace shop");
  std::get<api::FailuresOfSource>(retry_.spec.source).ns = "billing";
  EXPECT_TRUE(Resolve().ok());
}

TEST_F(SourceKeysTest, TheOtherMustHaveEnded) {
  There("first", api::RangeSource{0, 10}, /*ended=*/false);
  ExpectRefused("first has not ended");
}

TEST_F(SourceKeysTest, NumbersStayNumbersThroughRetriesOfRetries) {
  There("zero", api::RangeSource{0, 10});
  There("first", api::FailuresOfSource{.name = "zero", .ns = {}, .classes = {}});
  Failed("7", FailureClass::kTimeout);
  EXPECT_TRUE(std::get<api::KeysSource>(Resolve()->source).numeric);
}

TEST_F(SourceKeysTest, TextsThatLookLikeNumbersStayTexts) {
  There("first", api::KeysSource{.keys = {"7"}});
  Failed("7", FailureClass::kTimeout);
  EXPECT_FALSE(std::get<api::KeysSource>(Resolve()->source).numeric);
}

TEST_F(SourceKeysTest, ARetryOfItselfIsNotFollowedForEver) {
  There("first", api::FailuresOfSource{.name = "first", .ns = {}, .classes = {}});
  ExpectRefused("first is the retry of too many retries");
}

TEST_F(SourceKeysTest, AsManyAsTheFailureLogHoldsAndNoMore) {
  There("first", api::RangeSource{0, 1'000'000});
  for (int i = 0; i < 100'000; ++i) Failed(std::to_string(i), FailureClass::kTimeout);
  EXPECT_EQ(Keys().size(), 100'000U);
  Failed("x", FailureClass::kTimeout);
  ExpectRefused("first has 100001 failed records, at most 100000 can be taken");
}

TEST_F(SourceKeysTest, WhatItMeansDoesNotDependOnTheNumberOfWorkers) {
  There("first", api::RangeSource{0, 1'000'000});
  for (int i = 0; i < 5000; ++i) Failed(std::to_string(i), FailureClass::kTimeout);
  EXPECT_EQ(Resolve()->sharding, api::Sharding{1000});
  retry_.spec.sharding = api::Sharding{7};
  EXPECT_EQ(Resolve()->sharding, api::Sharding{7}) << "unless it is declared";
}

}  // namespace
}  // namespace backfill::reconcile
