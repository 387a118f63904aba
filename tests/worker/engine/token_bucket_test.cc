#include "worker/engine/token_bucket.h"

#include <rapidcheck.h>

#include <cmath>
#include <limits>

namespace backfill::worker {
namespace {

using namespace std::chrono_literals;

class TokenBucketTest : public ::testing::Test {
 protected:
  void Grant(double rate, double burst, Duration valid = 1h) {
    bucket_.SetGrant({1, rate, burst, now_ + valid}, now_);
  }
  // How many go within `span` when asked every `step`, in batches of `batch`.
  std::uint64_t SentWithin(Duration span, Duration step, std::uint32_t batch = 1) {
    std::uint64_t sent = 0;
    for (const Time end = now_ + span; now_ < end; now_ += step) {
      while (bucket_.Take(batch, now_)) sent += batch;
    }
    return sent;
  }
  Time now_{1h};
  TokenBucket bucket_;
};

TEST_F(TokenBucketTest, GivesNothingWithoutAGrant) { EXPECT_FALSE(bucket_.Take(1, now_)); }

TEST_F(TokenBucketTest, StartsEmpty) {
  Grant(10, 100);
  EXPECT_FALSE(bucket_.Take(1, now_));
  EXPECT_TRUE(bucket_.Take(1, now_ + 100ms));
}

TEST_F(TokenBucketTest, IsExactAtOnePerSecond) {
  Grant(1, 1);
  EXPECT_EQ(SentWithin(100s + 7ms, 7ms), 100u) << "the first after one second";
}

TEST_F(TokenBucketTest, IsExactAtTwoHundredThousandPerSecond) {
  Grant(200'000, 50'000);
  EXPECT_NEAR(static_cast<double>(SentWithin(10s, 1ms)), 2'000'000, 300);
}

TEST_F(TokenBucketTest, KeepsToTheRateWhateverTheBatch) {
  Grant(1000, 100);
  EXPECT_NEAR(static_cast<double>(SentWithin(60s, 3ms, 100)), 60'000, 100);
}

TEST_F(TokenBucketTest, UsesOnlyItsShareOfTheGrantAndOfItsBurst) {
  Grant(1000, 100);
  bucket_.SetShare(0.25, 1, now_);
  EXPECT_NEAR(static_cast<double>(SentWithin(10s, 3ms)), 2'500, 5);
  now_ += 1min;
  int n = 0;
  while (bucket_.Take(1, now_)) ++n;
  EXPECT_EQ(n, 25);
  Grant(2000, 200);
  EXPECT_NEAR(static_cast<double>(SentWithin(10s, 3ms)), 5'000, 30) << "also of the next grant";
  bucket_.SetShare(1, 1, now_);
  EXPECT_NEAR(static_cast<double>(SentWithin(10s, 3ms)), 20'000, 30);
}

TEST_F(TokenBucketTest, AShareThatChangesAllTheTimeStillEarnsABatch) {
  Grant(50, 12.5);
  std::uint64_t sent = 0;
  for (int i = 0; i < 100; ++i) {
    bucket_.SetShare(i % 2 == 0 ? 0.02 : 0.021, 1, now_);
    sent += SentWithin(1s, 20ms);
  }
  EXPECT_NEAR(static_cast<double>(sent), 102, 4);
  sent = 0;
  for (int i = 0; i < 100; ++i) {
    bucket_.SetShare(i % 2 == 0 ? 0.02 : 0.021, 10, now_);
    sent += SentWithin(1s, 20ms, 10);
  }
  EXPECT_NEAR(static_cast<double>(sent), 102, 12);
}

TEST_F(TokenBucketTest, AShareOfNothingOrOfNonsenseGivesNothing) {
  Grant(1000, 100);
  now_ += 1s;
  for (const double share : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    bucket_.SetShare(share, 1, now_);
    EXPECT_EQ(SentWithin(1s, 10ms), 0u);
    EXPECT_EQ(bucket_.ReadyAt(1, now_), Time::max());
  }
}

TEST_F(TokenBucketTest, SavesNoMoreThanTheBurst) {
  Grant(100, 10);
  now_ += 1min;
  int n = 0;
  while (bucket_.Take(1, now_)) ++n;
  EXPECT_EQ(n, 10);
}

TEST_F(TokenBucketTest, ABatchLargerThanTheBurstGoesAtTheRate) {
  Grant(100, 10);
  EXPECT_NEAR(static_cast<double>(SentWithin(100s, 5ms, 50)), 10'000, 50);
}

TEST_F(TokenBucketTest, StopsAtOnceWhenTheRateIsZeroWhateverWasSaved) {
  Grant(100, 100);
  now_ += 1s;
  Grant(0, 0);
  EXPECT_FALSE(bucket_.Take(1, now_));
  Grant(100, 100);
  EXPECT_FALSE(bucket_.Take(1, now_)) << "what was saved is gone";
}

TEST_F(TokenBucketTest, StopsWhenTheGrantExpires) {
  Grant(100, 100, 10s);
  now_ += 10s - 1ns;
  EXPECT_TRUE(bucket_.Take(1, now_));
  now_ += 1ns;
  EXPECT_FALSE(bucket_.Take(1, now_));
  EXPECT_EQ(bucket_.ReadyAt(1, now_), Time::max());
  Grant(100, 100);
  EXPECT_FALSE(bucket_.Take(1, now_)) << "nothing was earned meanwhile";
}

TEST_F(TokenBucketTest, ACutTakesWhatWasSavedBeyondTheNewBurst) {
  Grant(1000, 250);
  now_ += 1s;
  Grant(10, 2);
  EXPECT_EQ(SentWithin(1s, 10ms), 2u + 9u);
}

TEST_F(TokenBucketTest, SaysWhenItIsReady) {
  Grant(4, 4);
  const Time at = bucket_.ReadyAt(2, now_);
  EXPECT_NEAR(std::chrono::duration<double>(at - now_).count(), 0.5, 1e-6);
  EXPECT_FALSE(bucket_.Take(2, at - 1ms));
  EXPECT_TRUE(bucket_.Take(2, at));
}

TEST_F(TokenBucketTest, RatesThatAreNoNumbersMeanNothing) {
  for (const double rate : {std::nan(""), std::numeric_limits<double>::infinity(), -5.0}) {
    Grant(rate, 10);
    EXPECT_FALSE(bucket_.Take(1, now_ + 10s)) << rate;
  }
  Grant(10, std::nan(""));
  EXPECT_EQ(SentWithin(10s + 1ns, 10ms), 100u)
      << "without a burst there is still a record at a time";
}

TEST(TokenBucketProperty, NeverExceedsTheIntegralOfTheRateByMoreThanABurst) {
  EXPECT_TRUE(rc::check("live changes of rate and burst", [] {
    TokenBucket bucket;
    Time now{1h};
    double earned = 0, sent = 0, largest_burst = 0, rate = 0;
    const int changes = *rc::gen::inRange(1, 30);
    const auto batch = *rc::gen::element<std::uint32_t>(1, 1, 7, 100);
    for (int i = 0; i < changes; ++i) {
      rate = *rc::gen::element(0.0, 0.5, 1.0, 33.0, 5000.0, 200'000.0);
      const double burst = std::max({rate / 4, static_cast<double>(batch), 1.0});
      largest_burst = std::max(largest_burst, burst);
      bucket.SetGrant({static_cast<std::uint64_t>(i), rate, burst, now + 1h}, now);
      const int steps = *rc::gen::inRange(1, 50);
      for (int s = 0; s < steps; ++s) {
        const Duration step = std::chrono::microseconds(*rc::gen::inRange(1, 200'000));
        now += step;
        earned += rate * std::chrono::duration<double>(step).count();
        while (bucket.Take(batch, now)) sent += batch;
        RC_ASSERT(sent <= earned + largest_burst + 1e-3);
      }
    }
  }));
}

}  // namespace
}  // namespace backfill::worker
