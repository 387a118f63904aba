#include "operator/observe/sample_window.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;

class SampleWindowTest : public testing::Test {
 protected:
  // The counter grows by so much a second.
  void Count(double per_second, Duration time, Duration every) {
    for (const Time end = now_ + time; now_ < end;) {
      now_ += every;
      counter_ += per_second * std::chrono::duration<double>(every).count();
      window_.Add({counter_}, now_);
    }
  }
  double Rate() const {
    const auto grown = window_.Grown();
    if (!grown) return std::nan("");
    return grown->counters[0] / std::chrono::duration<double>(grown->over).count();
  }

  Time now_{1h};
  double counter_ = 1000;
  SampleWindow window_{60s};
};

TEST_F(SampleWindowTest, SaysNothingBeforeAQuarterIsFilled) {
  window_.Add({counter_}, now_);
  Count(10, 14s, 1s);
  EXPECT_TRUE(std::isnan(Rate()));
  Count(10, 1s, 1s);
  EXPECT_NEAR(Rate(), 10, 1e-9);
}

TEST_F(SampleWindowTest, ForgetsWhatIsOlderThanTheWindow) {
  Count(1000, 120s, 10s);
  Count(10, 60s, 10s);
  EXPECT_NEAR(Rate(), 10, 1e-9);
  EXPECT_LE(window_.Grown()->over, 61s);
}

TEST_F(SampleWindowTest, StaysSmallHoweverOftenItIsFed) {
  Count(10, 600s, 50ms);
  EXPECT_LE(window_.samples(), 140U);
  EXPECT_NEAR(Rate(), 10, 1e-6);
  EXPECT_GE(window_.Grown()->over, 59s);
}

TEST_F(SampleWindowTest, ACounterThatWentBackBeginsAnew) {
  Count(10, 60s, 10s);
  EXPECT_FALSE(window_.Add({5}, now_ += 10s));
  EXPECT_TRUE(std::isnan(Rate())) << "what grew since the reset is not guessed at";
  counter_ = 5;
  Count(20, 20s, 10s);
  EXPECT_NEAR(Rate(), 20, 1e-9);
}

TEST_F(SampleWindowTest, OneOfManyCountersIsEnoughToBeginAnew) {
  SampleWindow window(60s);
  EXPECT_TRUE(window.Add({1, 2, 3}, now_));
  EXPECT_FALSE(window.Add({2, 1, 4}, now_ + 20s));
  EXPECT_FALSE(window.Add({2, 1}, now_ + 40s)) << "another number of counters";
  EXPECT_FALSE(window.Add({std::nan(""), 1}, now_ + 60s));
  EXPECT_EQ(window.samples(), 1U);
}

TEST_F(SampleWindowTest, DoesNotReachAcrossATimeWithoutSamples) {
  Count(1000, 60s, 10s);
  now_ += 10min;
  counter_ += 10 * 600;
  window_.Add({counter_}, now_);
  EXPECT_TRUE(std::isnan(Rate()));
  Count(10, 20s, 10s);
  EXPECT_NEAR(Rate(), 10, 1e-9);
}

}  // namespace
}  // namespace backfill::observe
