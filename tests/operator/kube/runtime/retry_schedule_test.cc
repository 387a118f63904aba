#include "operator/kube/runtime/retry_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

const WallTime kBegan{1'800'000'000s};

TEST(RetryScheduleTest, R19_DoublesThenEachSixMinutesLaterByAFifthAtMost) {
  for (const std::string uid : {"", "u1", "6f9619ff-8b86-d011-b42d-00c04fc964ff"}) {
    SCOPED_TRACE(uid);
    WallTime now = kBegan;
    Duration offset = 0s;
    for (const Duration gap : {10s, 10s, 20s, 40s, 80s, 160s, 320s, 360s, 360s, 360s}) {
      now = NextRetry(kBegan, now, uid);
      offset += gap;
      EXPECT_GE(now - kBegan, offset);
      EXPECT_LE(now - kBegan, offset + gap / 5);
    }
  }
}

TEST(RetryScheduleTest, F25_ARestartKeepsTheScheduleAndSpreadsTheMany) {
  std::set<WallTime> times;
  for (int i = 0; i < 500; ++i) {
    const std::string uid = "uid-" + std::to_string(i);
    const WallTime restarted = kBegan + 1h;
    const WallTime next = NextRetry(kBegan, restarted, uid);
    EXPECT_GT(next, restarted);
    EXPECT_LE(next, restarted + 6min + 72s);
    EXPECT_EQ(NextRetry(kBegan, next - 1ms, uid), next);  // the same, asked later
    times.insert(next);
  }
  EXPECT_GT(times.size(), 100U);
}

TEST(RetryScheduleTest, R19_ATimeYearsBackOrAheadTakesNoLoopAndNoLeap) {
  const WallTime now = kBegan + 24h * 365 * 20;
  const WallTime next = NextRetry(kBegan, now, "u1");
  EXPECT_GT(next, now);
  EXPECT_LE(next, now + 6min + 72s);
  EXPECT_LE(NextRetry(now + 24h, now, "u1"), now + 12s);
}

}  // namespace
}  // namespace backfill::kube
