#include "worker/engine/retry.h"

namespace backfill::worker {
namespace {

const Time kStart{1h};

TEST(BackoffTest, DoublesWithJitterUpToItsCap) {
  Backoff backoff(100ms, 30s, 1);
  for (std::uint32_t failures = 1; failures < 40; ++failures) {
    const Duration full =
        failures >= 10 ? 30s : std::min<Duration>(30s, 100ms * (1 << (failures - 1)));
    for (int i = 0; i < 50; ++i) {
      const Duration wait = backoff.Wait(failures);
      EXPECT_GE(wait, full / 2);
      EXPECT_LE(wait, full);
    }
  }
}

TEST(BackoffTest, SpreadsItsWaits) {
  Backoff backoff(100ms, 30s, 1);
  const Duration first = backoff.Wait(5);
  int equal = 0;
  for (int i = 0; i < 20; ++i) equal += backoff.Wait(5) == first ? 1 : 0;
  EXPECT_LT(equal, 3);
}

TEST(RetryBudgetTest, AllowsOneInFlightWhateverTheShare) {
  RetryBudget budget(0);
  EXPECT_TRUE(budget.Allows(100, kStart));
  budget.OnRetryStarted(100, kStart);
  EXPECT_FALSE(budget.Allows(1, kStart));
  budget.OnRetryEnded();
  EXPECT_TRUE(budget.Allows(1, kStart));
}

TEST(RetryBudgetTest, KeepsRetriesAShareOfFirstAttempts) {
  RetryBudget budget(10);
  budget.OnFirstAttempts(1000, kStart);
  int started = 0;
  for (; budget.Allows(1, kStart) && started < 1000; ++started) budget.OnRetryStarted(1, kStart);
  EXPECT_EQ(started, 100);
}

TEST(RetryBudgetTest, AChangeOfTheShareActsAtOnce) {
  RetryBudget budget(10);
  budget.OnFirstAttempts(100, kStart);
  budget.OnRetryStarted(10, kStart);
  EXPECT_FALSE(budget.Allows(1, kStart));
  budget.SetPercent(20);
  EXPECT_TRUE(budget.Allows(10, kStart));
  EXPECT_FALSE(budget.Allows(11, kStart));
  budget.SetPercent(0);
  EXPECT_FALSE(budget.Allows(1, kStart)) << "one is in flight";
}

TEST(RetryBudgetTest, ForgetsAfterThirtySeconds) {
  RetryBudget budget(10);
  budget.OnFirstAttempts(1000, kStart);
  budget.OnRetryStarted(99, kStart);
  EXPECT_TRUE(budget.Allows(1, kStart + 29s));
  EXPECT_FALSE(budget.Allows(2, kStart + 29s));
  EXPECT_FALSE(budget.Allows(1, kStart + 31s)) << "the first attempts are too long ago";
}

TEST(HoldBackTest, ObeysRetryAfterForTheWholeTargetUpToFiveMinutes) {
  HoldBack hold(1);
  EXPECT_TRUE(hold.Allows(100, kStart));
  hold.OnRetryAfter(2s, kStart);
  EXPECT_FALSE(hold.Allows(0, kStart + 1999ms));
  EXPECT_TRUE(hold.Allows(100, kStart + 2s));
  hold.OnRetryAfter(24h, kStart + 2s);
  EXPECT_FALSE(hold.Allows(0, kStart + 5min));
  EXPECT_TRUE(hold.Allows(0, kStart + 2s + 5min));
  hold.OnRetryAfter(-5s, kStart);
  EXPECT_TRUE(hold.Allows(0, kStart + 2s + 5min));
}

TEST(HoldBackTest, AShorterRetryAfterDoesNotShortenALongerOne) {
  HoldBack hold(1);
  hold.OnRetryAfter(10s, kStart);
  hold.OnRetryAfter(1s, kStart);
  EXPECT_FALSE(hold.Allows(0, kStart + 9s));
}

TEST(HoldBackTest, ProbesAnUnreachableTargetWithOneRequestLessAndLessOften) {
  HoldBack hold(1);
  Time now = kStart;
  Duration last{};
  for (int probe = 1; probe <= 8; ++probe) {
    hold.OnUnreachable(now, "refused");
    EXPECT_FALSE(hold.Allows(0, now));
    const Duration wait = hold.until() - now;
    EXPECT_LE(wait, 5s);
    EXPECT_TRUE(probe <= 2 || wait >= last / 2) << probe;
    last = wait;
    now = hold.until();
    EXPECT_TRUE(hold.Allows(0, now));
    EXPECT_FALSE(hold.Allows(1, now)) << "one at a time";
  }
  EXPECT_GE(last, 2500ms);
  hold.OnAnswer();
  EXPECT_TRUE(hold.Allows(15, now));
}

TEST(HoldBackTest, FailuresThatWereInFlightTogetherAreOne) {
  HoldBack hold(1);
  hold.OnUnreachable(kStart, "refused");
  const Time until = hold.until();
  for (int i = 0; i < 15; ++i) hold.OnUnreachable(kStart, "refused");
  EXPECT_EQ(hold.until(), until);
}

TEST(HoldBackTest, TellsWhyATargetIsOutOfReachOnceThatLasts) {
  HoldBack hold(1);
  EXPECT_EQ(hold.Trouble(kStart), "");
  hold.OnUnreachable(kStart, "no route");
  EXPECT_EQ(hold.Trouble(kStart + 999ms), "") << "a blip is no news";
  EXPECT_EQ(hold.Trouble(kStart + 1s), "no route");
  hold.OnUnreachable(kStart + 2s, "refused");
  EXPECT_EQ(hold.Trouble(kStart + 2s), "refused");
  hold.OnAnswer();
  EXPECT_EQ(hold.Trouble(kStart + 3s), "");
}

}  // namespace
}  // namespace backfill::worker
