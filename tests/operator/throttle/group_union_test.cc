#include "operator/throttle/group_union.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::throttle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

MemberOptions Member(double most, double floor = 1) {
  MemberOptions member;
  member.options.max_records_per_second = most;
  member.options.floor = floor;
  return member;
}
void AddBudget(MemberOptions& member, const std::string& name, const std::string& question,
               double bound) {
  member.options.budgets.push_back({.name = name, .bound = bound});
  member.questions.push_back(question);
}
std::vector<std::string> NamesOf(const GroupUnion& all) {
  std::vector<std::string> names;
  for (const Budget& budget : all.options.budgets) names.push_back(budget.name);
  return names;
}

TEST(GroupUnionTest, MaximaAddUpTheLargestFloorHoldsAndTheRestIsOfTheOldest) {
  MemberOptions a = Member(100, 2), b = Member(400, 5);
  a.options.at_floor = AtFloor::kKeep;
  a.options.dead_time = 30s;
  b.options.hold.duration = 10min;
  const GroupUnion all = UnionOf({&a, &b});
  EXPECT_EQ(all.options.max_records_per_second, 500);
  EXPECT_EQ(all.options.floor, 5);
  EXPECT_EQ(all.options.initial, 5) << "2 of the oldest, and not below the floor";
  EXPECT_EQ(all.options.at_floor, AtFloor::kKeep);
  EXPECT_EQ(all.options.dead_time, 30s);
  EXPECT_EQ(all.options.hold.duration, 60s);
  EXPECT_EQ(all.options.Validate(), "");
}

TEST(GroupUnionTest, ABudgetThatAsksTheSameWithTheSameBoundIsOne) {
  MemberOptions a = Member(100), b = Member(100);
  AddBudget(a, "p99", "latency", 0.25);
  AddBudget(b, "latency", "latency", 0.25);
  const GroupUnion all = UnionOf({&a, &b});
  EXPECT_THAT(NamesOf(all), ElementsAre("p99"));
  EXPECT_THAT(all.origins, ElementsAre(ElementsAre(BudgetOrigin{0, 0}, BudgetOrigin{1, 0})));
}

TEST(GroupUnionTest, AnotherBoundIsAnotherBudgetAndNamesStayApart) {
  MemberOptions a = Member(100), b = Member(100), c = Member(100);
  AddBudget(a, "p99", "latency", 0.25);
  AddBudget(b, "p99", "latency", 0.20);
  AddBudget(c, "p99", "other", 0.25);
  const GroupUnion all = UnionOf({&a, &b, &c});
  EXPECT_THAT(NamesOf(all), ElementsAre("p99", "p99-2", "p99-3"));
  EXPECT_EQ(all.options.Validate(), "");
}

TEST(GroupUnionTest, ALongNameStaysWithinWhatAStatusTakes) {
  MemberOptions a = Member(100), b = Member(100);
  AddBudget(a, std::string(32, 'x'), "1", 1);
  AddBudget(b, std::string(32, 'x'), "2", 1);
  EXPECT_EQ(NamesOf(UnionOf({&a, &b})).back(), std::string(30, 'x') + "-2");
}

TEST(GroupUnionTest, AMemberWhoseBudgetsHaveNoRoomIsRefusedAndTheOthersAreNot) {
  MemberOptions a = Member(100), b = Member(100), c = Member(100);
  for (int i = 0; i < 10; ++i) AddBudget(a, "a" + std::to_string(i), "a" + std::to_string(i), 1);
  for (int i = 0; i < 7; ++i) AddBudget(b, "b" + std::to_string(i), "b" + std::to_string(i), 1);
  AddBudget(c, "c", "c", 1);
  const GroupUnion all = UnionOf({&a, &b, &c});
  EXPECT_THAT(all.refused, ElementsAre(false, true, false));
  EXPECT_THAT(all.options.budgets, SizeIs(11));
  EXPECT_EQ(all.options.max_records_per_second, 200);
}

TEST(GroupUnionTest, TogetherTheyStayWithinWhatAGovernorTakes) {
  MemberOptions a = Member(9'000'000), b = Member(9'000'000);
  const GroupUnion all = UnionOf({&a, &b});
  EXPECT_EQ(all.options.Validate(), "");
  EXPECT_THAT(all.origins, IsEmpty());
}

TEST(GroupUnionTest, OfWhatWasSavedTheMostCarefulHolds) {
  const WallTime early{std::chrono::seconds(100)}, late{std::chrono::seconds(200)};
  const SavedGovernor a{.rate = 100, .last_good = 80, .holds = 1, .last_critical = early};
  const SavedGovernor b{.rate = 90,
                        .last_good = 120,
                        .ceiling = 200,
                        .before_hold = 50,
                        .held_since = late,
                        .last_critical = late};
  const SavedGovernor both{.rate = 90,
                           .last_good = 80,
                           .ceiling = 200,
                           .holds = 1,
                           .before_hold = 50,
                           .held_since = late,
                           .last_critical = late};
  EXPECT_EQ(MostCareful(a, b), both);
  EXPECT_EQ(MostCareful(b, a), both);
}

}  // namespace
}  // namespace backfill::throttle
