#include "tests/worker/model_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace backfill::fakes {
namespace {

using namespace std::chrono_literals;

// Requests at even distances, as a backfill sends them.
class ModelServiceTest : public testing::Test {
 protected:
  // For so long; gives the mean latency, in seconds, of those that were answered.
  double Send(double per_second, Duration during) {
    const auto count = static_cast<int>(per_second * std::chrono::duration<double>(during).count());
    double seconds = 0;
    int answered = 0;
    for (int i = 0; i < count; ++i) {
      now_ += during / count;
      const auto latency = service_.Arrive(now_, 200);
      refused_ += latency ? 0 : 1;
      if (!latency) continue;
      ++answered;
      seconds += std::chrono::duration<double>(*latency).count();
      longest_ = std::max(longest_, *latency);
    }
    return answered > 0 ? seconds / answered : 0;
  }
  void Set(ModelService::Load load) { service_.Set(load, now_); }
  double Metric(const std::string& name) {
    const std::string text = service_.Metrics(now_);
    const std::size_t at = text.find("\n" + name + " ");
    EXPECT_NE(at, std::string::npos) << name << " in\n" << text;
    return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size() + 2));
  }

  ModelService service_{{}};
  Time now_{1h};
  int refused_ = 0;
  Duration longest_{0};
};

TEST_F(ModelServiceTest, WithoutACapacityNobodyWaits) {
  Set({.latency = 20ms});
  EXPECT_NEAR(Send(1000, 10s), 0.02, 1e-9);
  EXPECT_EQ(Metric("http_request_duration_seconds_count"), 10'000);
}

TEST_F(ModelServiceTest, TheNearerToItsCapacityTheLongerAllWait) {
  Set({.capacity = 1000});
  const double easy = Send(300, 60s), busy = Send(850, 60s), full = Send(950, 60s);
  EXPECT_LT(easy, 0.0015) << "about the millisecond that one takes by itself";
  EXPECT_GT(busy, 2 * easy);
  EXPECT_GT(full, 2 * busy);
  EXPECT_EQ(refused_, 0);
}

TEST_F(ModelServiceTest, WhatWouldWaitForMoreThanTwoSecondsIsRefused) {
  Set({.capacity = 100});
  Send(300, 30s);
  EXPECT_GT(refused_, 5000);
  EXPECT_LT(longest_, 2500ms);
  EXPECT_NEAR(Metric("service_queue_seconds"), 2, 0.1);
  EXPECT_EQ(Metric("http_requests_total{code=\"503\"}"), refused_);
  now_ += 3s;
  EXPECT_EQ(Metric("service_queue_seconds"), 0) << "what waits is worked off";
}

TEST_F(ModelServiceTest, TheForegroundTakesItsPartAndIsSeenInTheMetrics) {
  Set({.capacity = 1000, .foreground = 700});
  const double beside = Send(250, 60s);
  EXPECT_GT(beside, 0.005) << "250/s alone wait for about a millisecond";
  // Both: 60 s of 950 a second, of which the foreground is random.
  EXPECT_NEAR(Metric("http_request_duration_seconds_count"), 57'000, 1500);
}

TEST_F(ModelServiceTest, ItsCapacityMayFallWhileMuchWaits) {
  Set({.capacity = 1000});
  Send(1200, 5s);  // about 1000 are left
  const double before = Metric("service_queue_seconds");
  Set({.capacity = 500});
  EXPECT_NEAR(Metric("service_queue_seconds"), 2 * before, 1e-6);
}

TEST_F(ModelServiceTest, TheHistogramIsCumulativeAndEndsWithAll) {
  Set({.latency = 60ms});
  Send(10, 1s);
  Set({.latency = 10s});
  Send(5, 1s);
  EXPECT_EQ(Metric("http_request_duration_seconds_bucket{le=\"0.05\"}"), 0);
  EXPECT_EQ(Metric("http_request_duration_seconds_bucket{le=\"0.075\"}"), 10);
  EXPECT_EQ(Metric("http_request_duration_seconds_bucket{le=\"7.5\"}"), 10);
  EXPECT_EQ(Metric("http_request_duration_seconds_bucket{le=\"+Inf\"}"), 15);
  EXPECT_DOUBLE_EQ(Metric("http_request_duration_seconds_sum"), 50.6);
}

TEST_F(ModelServiceTest, WhatIsAnsweredOtherwiseIsCountedAsThat) {
  Set({});
  (void)service_.Arrive(now_, 422);
  (void)service_.Arrive(now_, 503);
  EXPECT_EQ(Metric("http_requests_total{code=\"200\"}"), 0);
  EXPECT_EQ(Metric("http_requests_total{code=\"422\"}"), 1);
  EXPECT_EQ(Metric("http_requests_total{code=\"503\"}"), 1);
}

TEST_F(ModelServiceTest, AProcessThatWasStoppedForLongHasNoFloodToServe) {
  Set({.capacity = 100, .foreground = 50});
  Send(10, 1s);
  now_ += 24h;
  EXPECT_LT(Metric("http_request_duration_seconds_count"), 200);
}

}  // namespace
}  // namespace backfill::fakes
