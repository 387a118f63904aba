#include "operator/coordinator/worker_slots.h"

namespace backfill::coordinator {
namespace {

WorkerIdentity Pod(const std::string& instance, const std::string& created,
                   const std::string& worker = "run-3", const std::string& uid = "u1") {
  return {.stage = {.ns = "shop", .name = "reprice", .uid = uid, .stage = reconcile::Stage::kRun},
          .worker = worker,
          .instance = instance,
          .created = created};
}
constexpr const char* kEarly = "2026-11-23T03:00:00Z";
constexpr const char* kLate = "2026-11-23T03:00:09Z";

// F15
TEST(WorkerSlotsTest, TheNewerPodWinsWhoeverComesFirst) {
  WorkerSlots slots;
  EXPECT_TRUE(slots.Take(Pod("old", kEarly)));
  EXPECT_TRUE(slots.Take(Pod("new", kLate)));
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(slots.Take(Pod("old", kEarly)));
    EXPECT_TRUE(slots.Take(Pod("new", kLate)));
  }
}

// F15
TEST(WorkerSlotsTest, OfPodsOfTheSameSecondAlwaysTheSameWins) {
  WorkerSlots slots;
  EXPECT_TRUE(slots.Take(Pod("a", kLate)));
  EXPECT_TRUE(slots.Take(Pod("b", kLate)));
  EXPECT_FALSE(slots.Take(Pod("a", kLate)));
  EXPECT_TRUE(slots.Take(Pod("b", kLate)));
}

TEST(WorkerSlotsTest, AnOlderPodHasTheSlotWhenTheNewerHasEnded) {
  WorkerSlots slots;
  EXPECT_TRUE(slots.Take(Pod("new", kLate)));
  slots.Release("old");
  EXPECT_FALSE(slots.Take(Pod("old", kEarly)));
  slots.Release("new");
  EXPECT_TRUE(slots.Take(Pod("old", kEarly)));
}

TEST(WorkerSlotsTest, SlotsOfOtherIndexesAndBackfillsAreOthers) {
  WorkerSlots slots;
  EXPECT_TRUE(slots.Take(Pod("new", kLate)));
  EXPECT_TRUE(slots.Take(Pod("old", kEarly, "run-4")));
  EXPECT_TRUE(slots.Take(Pod("old", kEarly, "run-3", "u2")));
}

TEST(WorkerSlotsTest, RemembersSoManyAndNoMore) {
  WorkerSlots slots(3);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(slots.Take(Pod("p", kLate, "run-" + std::to_string(i))));
    EXPECT_LE(slots.size(), 3u);
  }
  EXPECT_FALSE(slots.Take(Pod("old", kEarly, "run-999")));
  slots.Release("p");
  EXPECT_EQ(slots.size(), 0u);
}

}  // namespace
}  // namespace backfill::coordinator
