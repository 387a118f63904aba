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
  ASSERT_TRUE(r.has_value());
  ASSERT_THAT(*r, SizeIs(3));
  EXPECT_EQ((*r)[0].first, 2u);
  EXPECT_EQ((*r)[0].second.outcome, Outcome::kSkipped);
  EXPECT_EQ((*r)[1].first, 0u);
  EXPECT_EQ((*r)[2].second.failure, FailureClass::kTimeout);
  EXPECT_EQ((*r)[2].second.message, "slow");
}

TEST(ParseOutcomesTest, AFailureWithoutAClassIsPermanentAnUnknownOutcomeTransient) {
  const auto r = ParseOutcomes(
      R"({"outcomes":[{"key":"1","outcome":"failed"},{"key":"2","outcome":"great"}]})", kThree);
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ((*r)[0].second.failure, FailureClass::kPermanent);
  EXPECT_EQ((*r)[1].second.failure, FailureClass::kTransient);
}

TEST(ParseOutcomesTest, AReplyToOneRecordMaySpeakOfIt) {
  const auto r = ParseOutcomes(R"({"outcome":"unchanged","id":1})", kOne);
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ((*r)[0].second.outcome, Outcome::kUnchanged);
  EXPECT_FALSE(ParseOutcomes(R"({"outcome":"unchanged"})", kThree).has_value()) << "of which?";
}

TEST(ParseOutcomesTest, OtherRepliesSayNothing) {
  for (const char* body :
       {"", "ok", "{}", "[]", "null", R"({"outcomes":5})", R"({"outcome":7})", R"(["outcome"])",
        R"({"outcomes":[{"key":"1","outcome":"updated"})", R"("outcomes")"}) {
    EXPECT_FALSE(ParseOutcomes(body, kOne).has_value()) << body;
  }
}

TEST(ParseOutcomesTest, EntriesThatMakeNoSenseAreLeftOut) {
  const auto r =
      ParseOutcomes(R"({"outcomes":[1,null,{},{"key":null},{"key":1.5,"outcome":"updated"},
      {"key":{"a":1},"outcome":"updated"},{"outcome":"updated"}]})",
                    kThree);
  ASSERT_TRUE(r.has_value());
  EXPECT_THAT(*r, SizeIs(0));
}

TEST(ParseOutcomesTest, SurvivesDeepDocumentsAndRepetition) {
  const std::string deep =
      R"({"outcome":)" + std::string(50'000, '[') + std::string(50'000, ']') + "}";
  EXPECT_FALSE(ParseOutcomes(deep, kOne).has_value());
  std::string many = R"({"outcomes":[)";
  for (int i = 0; i < 10'000; ++i) many += R"({"key":"1","outcome":"updated"},)";
  many.back() = ']';
  many += "}";
  const auto r = ParseOutcomes(many, kOne);
  ASSERT_TRUE(r.has_value());
  EXPECT_LT(r->size(), 10u);
}

TEST(ParseOutcomesTest, AKeyThatStandsInTheBatchTwiceIsMeantTwice) {
  const std::vector<Record> twins = {{.position = 0, .key = "a"}, {.position = 1, .key = "a"}};
  const auto r = ParseOutcomes(R"({"outcomes":[{"key":"a","outcome":"updated"}]})", twins);
  ASSERT_TRUE(r.has_value());
  EXPECT_THAT(*r, SizeIs(2));
}

}  // namespace
}  // namespace backfill::worker
