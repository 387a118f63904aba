// Runs the tables of cases/. They are data, so that the same tables can be shown to an API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "operator/api/codec.h"
#include "operator/api/decode.h"
#include "operator/api/json.h"
#include "tests/operator/api/cases.h"

namespace backfill::api {
namespace {

using testing::UnorderedElementsAreArray;

std::string SaidAbout(const Decoded& decoded) {
  std::string said;
  for (const Problem& problem : decoded.problems) said += ToString(problem) + "\n";
  for (const Problem& warning : decoded.warnings) said += "warning: " + ToString(warning) + "\n";
  if (decoded.backfill) said += "valid\n";
  return said;
}

class TextGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(TextGoldenTest, SaysWhatIsWrongAndWhere) {
  auto cases = ReadTextCases(GetParam());
  ASSERT_GE(cases.size(), 20U);
  const bool update = std::getenv("BACKFILL_UPDATE_GOLDEN") != nullptr;  // NOLINT: no other thread
  for (TextCase& one : cases) {
    SCOPED_TRACE(one.name);
    const Decoded decoded = DecodeBackfill(one.text, "f.yaml");
    EXPECT_EQ(decoded.backfill.has_value(), decoded.problems.empty());
    const std::string said = SaidAbout(decoded);
    if (update) {
      one.said = said + "\n";
    } else {
      EXPECT_EQ(said + "\n", one.said);
    }
  }
  if (update) WriteTextCases(GetParam(), cases);
}

INSTANTIATE_TEST_SUITE_P(Files, TextGoldenTest,
                         testing::Values("syntax.txt", "values.txt", "requests.txt"));

TEST(ObjectGoldenTest, ObjectsAreJudgedAsTheTableSays) {
  const auto cases = ReadObjectCases("objects.yaml");
  ASSERT_GT(cases.size(), 35U);
  for (const ObjectCase& one : cases) {
    SCOPED_TRACE(one.name);
    const Decoded decoded = DecodeBackfill(WriteJson(one.next, -1, MemberOrder::kAsGiven), "");
    EXPECT_THAT(Said(decoded.problems), UnorderedElementsAreArray(one.problems));
  }
}

TEST(ObjectGoldenTest, ChangesAreJudgedAsTheTableSays) {
  const auto cases = ReadObjectCases("changes.yaml");
  ASSERT_GT(cases.size(), 12U);
  for (const ObjectCase& one : cases) {
    SCOPED_TRACE(one.name);
    const auto typed = [](const Node& node) {
      const Decoded decoded = DecodeBackfill(WriteJson(node, -1, MemberOrder::kAsGiven), "");
      EXPECT_THAT(Said(decoded.problems), testing::IsEmpty());
      Backfill backfill = decoded.backfill.value_or(Backfill{});
      if (const Node* status = node.Find("status")) backfill.status = ReadStatus(*status);
      return backfill;
    };
    EXPECT_THAT(Said(ValidateChange(typed(one.current), typed(one.next))),
                UnorderedElementsAreArray(one.problems));
  }
}

}  // namespace
}  // namespace backfill::api
