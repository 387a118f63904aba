#include "worker/target/outcome_map.h"

namespace backfill::worker {
namespace {

using ::testing::SizeIs;

const std::vector<Record> kThree = {
    {.position = 0, .key = "1"}, {.position = 1, .key = "2"}, {.position = 2, .key = "x"}};
const std::vector<Record> kOne = {{.position = 0, .key = "1"}};

TEST(OutcomeMapTest, KnowsTheDefaults) {
  const OutcomeMap map;
  for (const unsigned s : {200U, 201U, 204U, 299U})
    EXPECT_EQ(map.Of(s).outcome, Outcome::kUpdated) << s;
  EXPECT_EQ(map.Of(304).outcome, Outcome::kUnchanged);
  for (const unsigned s : {408U, 425U, 429U, 500U, 503U, 599U}) {
    EXPECT_EQ(map.Of(s).failure, FailureClass::kTransient) << s;
    EXPECT_EQ(map.Of(s).outcome, Outcome::kFailed) << s;
  }
  for (const unsigned s : {409U, 412U}) EXPECT_EQ(map.Of(s).failure, FailureClass::kConflict) << s;
  for (const unsigned s : {301U, 400U, 404U, 422U, 600U, 999U, 0U, 199U}) {
    EXPECT_EQ(map.Of(s).failure, FailureClass::kPermanent) << s;
    EXPECT_EQ(map.Of(s).outcome, Outcome::kFailed) << s;
  }
  EXPECT_EQ(map.Of(404).message, "HTTP 404");
}

TEST(OutcomeMapTest, DeclaredCodesOverrideThem) {
  const OutcomeMap map({.updated = {409},
                        .unchanged = {208},
                        .skipped = {404, 410},
                        .transient = {404, 9999},
                        .conflict = {423},
                        .permanent = {500}});
  EXPECT_EQ(map.Of(409).outcome, Outcome::kUpdated);
  EXPECT_EQ(map.Of(208).outcome, Outcome::kUnchanged);
  EXPECT_EQ(map.Of(410).outcome, Outcome::kSkipped);
  EXPECT_EQ(map.Of(404).failure, FailureClass::kTransient);
  EXPECT_EQ(map.Of(423).failure, FailureClass::kConflict);
  EXPECT_EQ(map.Of(500).failure, FailureClass::kPermanent);
}

TEST(ParseOutcomesTest, ReadsEachRecord) {
  const auto r = ParseOutcomes(R"({"outcomes":[
      {"key":"x","outcome":"skipped"},{"key":1,"outcome":"unchanged"},
      {"key":"2","outcome":"failed","class":"timeout","message":"slow"},{"key":"unknown","outcome":"updated"}]})",
                               kThree);
  ASSERT_EQ(r.kind, ReplyOutcomes::Kind::kVerdicts);
  ASSERT_THAT(r.verdicts, SizeIs(3));
  EXPECT_EQ(r.verdicts[0].first, 2u);
  EXPECT_EQ(r.verdicts[0].second.outcome, Outcome::kSkipped);
  EXPECT_EQ(r.verdicts[1].first, 0u);
  EXPECT_EQ(r.verdicts[2].second.failure, FailureClass::kTimeout);
  EXPECT_EQ(r.verdicts[2].second.message, "slow");
}

TEST(ParseOutcomesTest, AFailureWithoutAClassIsPermanentAnUnknownOutcomeTransient) {
  const auto r = ParseOutcomes(
      R"({"outcomes":[{"key":"1","outcome":"failed"},{"key":"2","outcome":"great"}]})", kThree);
  ASSERT_EQ(r.kind, ReplyOutcomes::Kind::kVerdicts);
  EXPECT_EQ(r.verdicts[0].second.failure, FailureClass::kPermanent);
  EXPECT_EQ(r.verdicts[1].second.failure, FailureClass::kTransient);
}

TEST(ParseOutcomesTest, OtherRepliesSayNothing) {
  for (const char* body : {"", "ok", "{}", "[]", "null", R"({"outcome":7})", R"(["outcomes"])",
                           R"("outcomes")", R"({"outcome":"updated"})", R"({"outcome":"approved"})",
                           R"({"data":{"outcomes":[1]}})", "not { \"outcomes\""}) {
    EXPECT_EQ(ParseOutcomes(body, kOne).kind, ReplyOutcomes::Kind::kNone) << body;
  }
}

TEST(ParseOutcomesTest, WhatNamesOutcomesAndCannotBeReadIsNoSilence) {
  const std::string deep =
      R"({"outcomes":)" + std::string(50'000, '[') + std::string(50'000, ']') + "}";
  for (const std::string& body :
       {std::string(R"({"outcomes":5})"), std::string(R"({"outcomes":[{"key":"1","outcome":"up)"),
        std::string(
            " \n{\"outcomes\":[{\"key\":\"1\",\"outcome\":\"failed\",\"message\":\"\xff\"}]}"),
        deep}) {
    EXPECT_EQ(ParseOutcomes(body, kOne).kind, ReplyOutcomes::Kind::kUnreadable)
        << body.substr(0, 80);
  }
}

TEST(ParseOutcomesTest, EntriesThatMakeNoSenseAreLeftOut) {
  const auto r =
      ParseOutcomes(R"({"outcomes":[1,null,{},{"key":null},{"key":1.5,"outcome":"updated"},
      {"key":{"a":1},"outcome":"updated"},{"outcome":"updated"}]})",
                    kThree);
  ASSERT_EQ(r.kind, ReplyOutcomes::Kind::kVerdicts);
  EXPECT_THAT(r.verdicts, SizeIs(0));
}

TEST(ParseOutcomesTest, FollowsRepetitionOnlySoFar) {
  std::string many = R"({"outcomes":[)";
  for (int i = 0; i < 10'000; ++i) many += R"({"key":"1","outcome":"updated"},)";
  many.back() = ']';
  many += "}";
  const auto r = ParseOutcomes(many, kOne);
  ASSERT_EQ(r.kind, ReplyOutcomes::Kind::kVerdicts);
  EXPECT_LT(r.verdicts.size(), 10u);
}

TEST(ParseOutcomesTest, AKeyThatStandsInTheBatchTwiceIsMeantTwice) {
  const std::vector<Record> twins = {{.position = 0, .key = "a"}, {.position = 1, .key = "a"}};
  const auto r = ParseOutcomes(R"({"outcomes":[{"key":"a","outcome":"updated"}]})", twins);
  ASSERT_EQ(r.kind, ReplyOutcomes::Kind::kVerdicts);
  EXPECT_THAT(r.verdicts, SizeIs(2));
}

}  // namespace
}  // namespace backfill::worker
