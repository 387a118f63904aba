#include "operator/kube/runtime/key_backoff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "operator/kube/client/token_bucket.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

const Time kStart{1h};
ObjectKey OfNumber(int i) { return {.ns = "shop", .name = std::to_string(i)}; }

TEST(KeyBackoffTest, R16_DoublesFromFiveMillisecondsToAMinute) {
  KeyBackoff backoff({});
  std::vector<Duration> delays;
  for (int i = 0; i < 16; ++i) delays.push_back(backoff.Next(OfNumber(1), kStart));
  EXPECT_THAT(delays, ElementsAre(5ms, 10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1280ms, 2560ms,
                                  5120ms, 10240ms, 20480ms, 40960ms, 60s, 60s));
}

TEST(KeyBackoffTest, R16_ASuccessForgets) {
  KeyBackoff backoff({});
  for (int i = 0; i < 5; ++i) backoff.Next(OfNumber(1), kStart);
  EXPECT_EQ(backoff.failures(OfNumber(1)), 5);
  backoff.Forget(OfNumber(1));
  EXPECT_EQ(backoff.Next(OfNumber(1), kStart), 5ms);
  EXPECT_EQ(backoff.Next(OfNumber(2), kStart), 5ms);  // each key for itself
}

TEST(KeyBackoffTest, R16_AllKeysTogetherAreTenASecondAfterABurstOfAHundred) {
  KeyBackoff backoff({});
  for (int i = 0; i < 100; ++i) ASSERT_EQ(backoff.Next(OfNumber(i), kStart), 5ms) << i;
  EXPECT_EQ(backoff.Next(OfNumber(100), kStart), 100ms);
  EXPECT_EQ(backoff.Next(OfNumber(101), kStart), 200ms);
  EXPECT_EQ(backoff.Next(OfNumber(102), kStart + 1s),
            5ms);  // ten came back, two of them were taken
}

TEST(KeyBackoffTest, FailuresBeyondCountingWaitLongestAndTakeNoMemory) {
  KeyBackoff backoff({.burst = 1000, .max_keys = 2});
  backoff.Next(OfNumber(1), kStart);
  backoff.Next(OfNumber(2), kStart);
  EXPECT_EQ(backoff.Next(OfNumber(3), kStart), 60s);
  EXPECT_EQ(backoff.Next(OfNumber(2), kStart), 10ms);
  EXPECT_EQ(backoff.size(), 2U);
}

TEST(TokenBucketTest, GivesItsBurstThenOneInEachInterval) {
  TokenBucket bucket(300s, 25);
  int given = 0;
  for (int second = 0; second < 3600; ++second)
    given += bucket.TryTake(kStart + 1s * second) ? 1 : 0;
  EXPECT_EQ(given, 25 + 3599 / 300);
}

TEST(TokenBucketTest, SavesNoMoreThanItsBurst) {
  TokenBucket bucket(1s, 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.TryTake(kStart + 24h));
  EXPECT_FALSE(bucket.TryTake(kStart + 24h));
  EXPECT_FALSE(bucket.TryTake(kStart + 24h + 999ms));
  EXPECT_TRUE(bucket.TryTake(kStart + 24h + 1s));
}

}  // namespace
}  // namespace backfill::kube
