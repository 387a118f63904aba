#include "bench/throttle/scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace backfill::throttle_bench {
namespace {

using testing::HasSubstr;

constexpr char kNamed[] = "name: x\ntitle: 1 x\n";

TEST(ScenarioTest, ASignalIsABaseWithASineStepsAndRepeatedStretches) {
  const auto s = ParseScenario(std::string(kNamed) + R"(
foreground:
  base: 100
  sine: {amplitude: 50, period: 400}
  steps: [{from: 1000, to: 1100, value: 7}]
  repeated: [{period: 600, from: 540, to: 600, value: 9}]
)");
  ASSERT_TRUE(s.ok()) << s.error().message;
  EXPECT_DOUBLE_EQ(s->foreground.At(0), 100);
  EXPECT_DOUBLE_EQ(s->foreground.At(100), 150);
  EXPECT_DOUBLE_EQ(s->foreground.At(540), 9);
  EXPECT_DOUBLE_EQ(s->foreground.At(1199), 9);
  EXPECT_DOUBLE_EQ(s->foreground.At(1000), 7);
  EXPECT_DOUBLE_EQ(s->foreground.At(1200), 100);
  EXPECT_DOUBLE_EQ(s->capacity.At(0), 1000);
}

TEST(ScenarioTest, OutagesAndPausesAreHalfOpen) {
  const auto s = ParseScenario(std::string(kNamed) + R"(
outages: [{from: 10, to: 20, metric: Stale}]
paused: [{from: 30, to: 40}]
operatorDown: [{from: 50, to: 60}]
)");
  ASSERT_TRUE(s.ok()) << s.error().message;
  EXPECT_EQ(s->SeenAt(9), Seen::kAll);
  EXPECT_EQ(s->SeenAt(10), Seen::kStale);
  EXPECT_EQ(s->SeenAt(20), Seen::kAll);
  EXPECT_TRUE(s->PausedAt(30) && !s->PausedAt(40));
  EXPECT_TRUE(s->OperatorDownAt(50) && !s->OperatorDownAt(60));
}

TEST(ScenarioTest, SaysWhatIsWrongAndWhere) {
  const auto problem = [](const std::string& text) {
    const auto s = ParseScenario(kNamed + text);
    return s.ok() ? "" : s.error().message;
  };
  EXPECT_EQ(problem("capacty: 1"), "line 3: unknown field capacty");
  EXPECT_EQ(problem("gates: {ovr: {most: 1}}"), "line 3: unknown figure ovr");
  EXPECT_EQ(problem("shape: Round"), "line 3: must be Latency, Cliff or Linear");
  EXPECT_EQ(problem("foreground: {sine: {amplitude: 1, period: 0}}"),
            "line 3: period must be more than 0");
  EXPECT_EQ(problem("duration: 1000000000"), "line 3: is out of range");
  EXPECT_EQ(problem("foreground: .nan"), "line 3: is out of range");
  EXPECT_THAT(problem("duration: [1]"), HasSubstr("line 3"));
  EXPECT_NE(problem("foreground: {"), "");
  EXPECT_FALSE(ParseScenario("").ok());
  EXPECT_FALSE(ParseScenario("- 1").ok());
}

TEST(ScenarioTest, ThoseThatAreShippedAreSeventeenWithGates) {
  const auto all = ReadScenarios(BACKFILL_SCENARIOS);
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_EQ(all->size(), 17u) << "one of them a variant";
  std::set<std::string> names;
  for (const Scenario& s : *all) {
    EXPECT_FALSE(s.gates.empty()) << s.name;
    names.insert(s.name);
  }
  EXPECT_EQ(names.size(), 17u);
  EXPECT_FALSE(ReadScenarios("/nowhere").ok());
}

}  // namespace
}  // namespace backfill::throttle_bench
