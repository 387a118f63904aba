// bench/scale in small: real streams over TLS, a real coordinator process, which is killed in the
// middle.
#include "bench/scale/scale_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/log.h"

namespace backfill::scale {
namespace {

using ::testing::IsEmpty;

class ScaleTest : public ::testing::Test {
 protected:
  ScaleTest() {
    SetLogLevel(LogLevel::kError);  // a worker says whenever its stream ends
    char directory[] = "/tmp/backfill-scale-XXXXXX";
    options_.dir = mkdtemp(directory);
    options_.coordinator = BACKFILL_SCALE_COORDINATOR;
    options_.ttl = 3;  // what was reserved when it died is free after so long
    options_.change_rate_every = 0s;
    options_.warm_up = 500ms;
    options_.give_up = 90s;
  }
  ~ScaleTest() override { std::filesystem::remove_all(options_.dir); }

  RunOptions options_;
};

TEST_F(ScaleTest, NothingIsLostOrDoneTwiceWhenTheOperatorIsKilled) {
  options_.workers = 50;
  options_.shards = 2'000;
  options_.records = 10;
  options_.rate = 10'000;
  const auto report = RunScale(options_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->broken, IsEmpty());
  EXPECT_GE(report->leases, 2'000u);
  EXPECT_GT(report->first_lease_ms, 0);
}

}  // namespace
}  // namespace backfill::scale
