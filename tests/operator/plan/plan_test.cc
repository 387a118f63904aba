#include "operator/plan/plan.h"

#include <gtest/gtest.h>

namespace backfill::plan {
namespace {

const std::vector<PlannedShard> kTwo{{{0, 10}, 10}, {{10, 15}, 5}};

// The hash is kept in Git by those who approve plans: it must not change between versions or
// machines.
TEST(PlanHashTest, IsTheSameOnAnyMachine) {
  EXPECT_EQ(PlanHash("work", kTwo),
            "sha256:795a066b38f98a9380f52f89eb5f30277864af7c640cd8d840fcfe914086ac51");
}

TEST(PlanHashTest, ChangesWithTheWork) {
  EXPECT_NE(PlanHash("work", kTwo), PlanHash("wort", kTwo));
}

TEST(PlanHashTest, ChangesWithEachNumberOfAShard) {
  const std::string hash = PlanHash("work", kTwo);
  for (const std::vector<PlannedShard>& other : {
           std::vector<PlannedShard>{{{1, 10}, 10}, {{10, 15}, 5}},
           std::vector<PlannedShard>{{{0, 10}, 10}, {{10, 16}, 5}},
           std::vector<PlannedShard>{{{0, 10}, 10}, {{10, 15}, 4}},
           std::vector<PlannedShard>{{{0, 10}, 10}},
           std::vector<PlannedShard>{{{0, 15}, 15}},
       }) {
    EXPECT_NE(PlanHash("work", other), hash);
  }
}

TEST(PlanHashTest, DoesNotMixUpWorkAndShards) {
  EXPECT_NE(PlanHash("work\n0 10 10", {}), PlanHash("work", {{{0, 10}, 10}}));
}

}  // namespace
}  // namespace backfill::plan
