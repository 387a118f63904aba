#include "operator/kube/client/rate_limiter.h"

#include <atomic>
#include <thread>

#include "tests/fakes/manual_clock.h"

namespace backfill::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RateLimiterTest : public testing::Test {
 protected:
  // Whether a request may go out now.
  bool Passes() { return limiter_.Wait(clock_.Steady(), {}).ok(); }
  int PassingNow() {
    int n = 0;
    while (Passes()) ++n;
    return n;
  }
  ApiError Refusal(Duration within = {}) {
    return limiter_.Wait(clock_.Steady() + within, {}).error();
  }

  fakes::ManualClock clock_;
  RateLimiter limiter_{{}, clock_};
};

TEST_F(RateLimiterTest, R34_LetsABurstOf30ThroughAndThen20ASecond) {
  EXPECT_EQ(PassingNow(), 30);
  int passed = 0;
  for (int ms = 0; ms < 10'000; ms += 10) {
    clock_.Advance(milliseconds(10));
    passed += PassingNow();
  }
  EXPECT_EQ(passed, 200);
  clock_.Advance(seconds(3600));
  EXPECT_EQ(PassingNow(), 30);
}

TEST_F(RateLimiterTest, LimitsThatMakeNoSenseStillLetSomethingThrough) {
  RateLimiter limiter({.interval = -std::chrono::seconds(1), .burst = -3}, clock_);
  EXPECT_TRUE(limiter.Wait(clock_.Steady(), {}).ok());
  EXPECT_FALSE(limiter.Wait(clock_.Steady(), {}).ok());
  clock_.Advance(Duration(1));
  EXPECT_TRUE(limiter.Wait(clock_.Steady(), {}).ok());
}

TEST_F(RateLimiterTest, SaysAtOnceThatItIsTooLateAndTakesNothing) {
  EXPECT_EQ(PassingNow(), 30);
  for (int i = 0; i < 100; ++i) {
    const ApiError e = Refusal(milliseconds(49));
    EXPECT_EQ(e.kind, ApiErrorKind::kTooManyRequests);
    EXPECT_EQ(e.retry_after, milliseconds(50));
    EXPECT_EQ(e.http_status, 0);
  }
  clock_.Advance(milliseconds(50));
  EXPECT_TRUE(Passes());
}

TEST_F(RateLimiterTest, WaitsForItsTurnInOrder) {
  EXPECT_EQ(PassingNow(), 30);
  std::atomic<int> passed{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const auto turn = limiter_.Wait(clock_.Steady() + seconds(10), {});
      if (turn.ok()) ++passed;
    });
  }
  // Each has taken its turn in advance: the next one here would be the fourth.
  while (Refusal().retry_after < milliseconds(200)) std::this_thread::yield();
  EXPECT_EQ(passed, 0);
  clock_.Advance(milliseconds(100));
  while (passed < 2) std::this_thread::yield();
  EXPECT_EQ(passed, 2);
  clock_.Advance(milliseconds(50));
  threads.clear();
  EXPECT_EQ(passed, 3);
}

TEST_F(RateLimiterTest, R34_AServerHoldsAllOffUpToAMinute) {
  limiter_.HoldOff(seconds(7));
  EXPECT_EQ(Refusal().retry_after, seconds(7));
  limiter_.HoldOff(seconds(3));  // what was asked for before still counts
  EXPECT_EQ(Refusal().retry_after, seconds(7));
  clock_.Advance(seconds(7));
  EXPECT_TRUE(Passes());
  limiter_.HoldOff(std::chrono::hours(1));
  EXPECT_EQ(Refusal().retry_after, seconds(60));
}

TEST_F(RateLimiterTest, WhoWaitsAlreadyIsHeldOffToo) {
  EXPECT_EQ(PassingNow(), 30);
  ApiError e;
  std::jthread waiter([&] { e = limiter_.Wait(clock_.Steady() + seconds(1), {}).error(); });
  while (Refusal().retry_after < milliseconds(100)) std::this_thread::yield();
  limiter_.HoldOff(seconds(5));
  waiter.join();
  EXPECT_EQ(e.kind, ApiErrorKind::kTooManyRequests);
}

TEST_F(RateLimiterTest, Stops) {
  limiter_.HoldOff(seconds(5));
  std::stop_source stop;
  ApiError e;
  std::jthread waiter(
      [&] { e = limiter_.Wait(clock_.Steady() + seconds(10), stop.get_token()).error(); });
  stop.request_stop();
  waiter.join();
  EXPECT_EQ(e.kind, ApiErrorKind::kAborted);
}

}  // namespace
}  // namespace backfill::kube
