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

std::vector<PlannedShard> WithExtents() {
  std::vector<PlannedShard> shards = kTwo;
  shards[0].extent = rows::Extent{0, 10, 3, 100, 2, 0xabcdef};
  shards[1].extent = rows::Extent{10, 5, 103, 50, 12, 0x12345};
  return shards;
}
const rows::FileShape kShape{.stored_bytes = 153, .columns = {"id", "a"}};

TEST(PlanHashTest, OfAFileIsTheSameOnAnyMachine) {
  EXPECT_EQ(PlanHash("work", WithExtents(), &kShape),
            "sha256:b91d86227b8a1597fbf787bbe3d714112c6d9b2709c2995bdee6bcca49af37cb");
}

TEST(PlanHashTest, ChangesWithTheFile) {
  const std::string hash = PlanHash("work", WithExtents(), &kShape);
  EXPECT_NE(PlanHash("work", kTwo, &kShape), hash);
  EXPECT_NE(PlanHash("work", WithExtents()), hash);
  for (const auto member : {&rows::Extent::offset, &rows::Extent::bytes, &rows::Extent::line}) {
    std::vector<PlannedShard> other = WithExtents();
    ++((*other[1].extent).*member);
    EXPECT_NE(PlanHash("work", other, &kShape), hash);
  }
  std::vector<PlannedShard> other = WithExtents();
  ++other[0].extent->crc32c;
  EXPECT_NE(PlanHash("work", other, &kShape), hash);
  for (const rows::FileShape& shape :
       {rows::FileShape{.stored_bytes = 154, .columns = {"id", "a"}},
        rows::FileShape{.columns = {"id", "a"}},
        rows::FileShape{.stored_bytes = 153, .columns = {"id", "b"}},
        rows::FileShape{.stored_bytes = 153, .columns = {"id\n1 a"}}}) {
    EXPECT_NE(PlanHash("work", WithExtents(), &shape), hash);
  }
}

}  // namespace
}  // namespace backfill::plan
