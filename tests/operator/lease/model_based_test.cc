#include <gtest/gtest.h>

#include "sim_world.h"

// Random histories in a hostile world, all invariants checked after every step; and proof that the
// checks can fail: each rule of the protocol that is switched off is found out.
namespace backfill::lease::sim {
namespace {

constexpr int kSteps = 3000;

TEST(ModelBasedTest, HoldsInAnyHistory) {
  World::Counters seen;
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    World world({}, seed);
    const auto wrong = world.Run(kSteps);
    ASSERT_FALSE(wrong) << "seed " << seed << ": " << *wrong;
    const World::Counters& c = world.counters();
    seen.takeovers += c.takeovers;
    seen.proven_gone += c.proven_gone;
    seen.expirations += c.expirations;
    seen.taken_up += c.taken_up;
    seen.shrinks += c.shrinks;
    seen.split_off += c.split_off;
    seen.drained += c.drained;
    seen.conflicts += c.conflicts;
  }
  // The histories contain what they are about.
  EXPECT_GT(seen.takeovers, 100);
  EXPECT_GT(seen.proven_gone, 20);
  EXPECT_GT(seen.expirations, 100);
  EXPECT_GT(seen.taken_up, 100);
  EXPECT_GT(seen.shrinks, 50);
  EXPECT_GT(seen.split_off, 50);
  EXPECT_GT(seen.drained, 50);
  EXPECT_GT(seen.conflicts, 5);
}

// Whether some history lets two workers send the same record.
bool IsNoticed(const WorldOptions& options) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    World world(options, seed);
    const auto wrong = world.Run(kSteps);
    if (!wrong) continue;
    if (wrong->find("may both send") != std::string::npos) return true;
    if (wrong->find("is on the wire") != std::string::npos) return true;
  }
  return false;
}

TEST(ModelBasedTest, NoticesAWorkerThatCountsFromTheReceipt) {
  EXPECT_TRUE(IsNoticed({.breaks = 20,
                         .leader_sleeps = 10,
                         .crashes = 5,
                         .delay = 60s,
                         .worker_faults = {.counts_from_receipt = true}}));
}

TEST(ModelBasedTest, NoticesAWorkerThatIgnoresTheEndItReported) {
  EXPECT_TRUE(IsNoticed({.worker_faults = {.ignores_its_own_end = true}}));
}

TEST(ModelBasedTest, NoticesALeaderThatGoesOnWhenItsTimeIsOver) {
  EXPECT_TRUE(IsNoticed({.leaders_ignore_their_end = true}));
}

TEST(ModelBasedTest, NoticesAFalseProofThatPredecessorsAreGone) {
  EXPECT_TRUE(IsNoticed({.falsely_proven_gone = true}));
}

}  // namespace
}  // namespace backfill::lease::sim
