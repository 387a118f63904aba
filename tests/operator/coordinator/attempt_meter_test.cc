#include "operator/coordinator/attempt_meter.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;

const Time kStart{1h};

TEST(AttemptMeter, MeasuresASteadyRateWithinFivePercent) {
  AttemptMeter meter;
  for (int i = 0; i <= 400; ++i) meter.Add(25, 0, kStart + i * 50ms);  // 500/s
  EXPECT_NEAR(meter.PerSecond(kStart + 20s), 500, 25);
}

TEST(AttemptMeter, ForgetsAfterFiveSeconds) {
  AttemptMeter meter;
  meter.Add(1000, 100, kStart);
  EXPECT_GT(meter.PerSecond(kStart + 4s), 0);
  EXPECT_EQ(meter.PerSecond(kStart + 6s), 0);
  EXPECT_EQ(meter.RetryPercent(kStart + 6s), 0);
}

TEST(AttemptMeter, FollowsAChangeOfRate) {
  AttemptMeter meter;
  for (int i = 0; i < 200; ++i) meter.Add(100, 0, kStart + i * 50ms);
  for (int i = 0; i <= 120; ++i) meter.Add(10, 0, kStart + 10s + i * 50ms);
  EXPECT_NEAR(meter.PerSecond(kStart + 16s), 200, 15);
}

TEST(AttemptMeter, OneEarlyReportIsNoRate) {
  AttemptMeter meter;
  meter.Add(100, 0, kStart);
  EXPECT_LE(meter.PerSecond(kStart), 100);
}

TEST(AttemptMeter, CountsRetriesPerHundredFirstAttempts) {
  AttemptMeter meter;
  meter.Add(110, 10, kStart);
  EXPECT_DOUBLE_EQ(meter.RetryPercent(kStart), 10);
  AttemptMeter only_retries;
  only_retries.Add(10, 10, kStart);
  EXPECT_DOUBLE_EQ(only_retries.RetryPercent(kStart), 100);
}

TEST(AttemptMeter, IsEmptyAtFirst) {
  const AttemptMeter meter;
  EXPECT_EQ(meter.PerSecond(kStart), 0);
  EXPECT_EQ(meter.RetryPercent(kStart), 0);
}

}  // namespace
}  // namespace backfill::coordinator
