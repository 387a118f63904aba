#include "bench/throttle/plant.h"

#include <gtest/gtest.h>

#include <cmath>

namespace backfill::throttle_bench {
namespace {

// Sends the same whatever happens.
class Constant final : public Controller {
 public:
  explicit Constant(double rate) : rate_(rate) {}
  double Tick(const Sight&) override { return rate_; }

 private:
  double rate_;
};

Scenario Quiet() {
  Scenario s;
  s.foreground.base = 500;
  s.capacity.base = 1000;
  return s;
}

Figures RunAt(const Scenario& s, double rate) {
  Constant controller(rate);
  return Simulate(s, controller, 600, 1);
}

TEST(PlantTest, SendingWhatThereIsRoomForIsAllThatCouldBeSent) {
  const double best = Quiet().BestUtilisation() * 1000 - 500;
  EXPECT_NEAR(best, 346, 1);
  EXPECT_NEAR(RunAt(Quiet(), best).thr, 100, 0.5);
  EXPECT_NEAR(RunAt(Quiet(), best / 2).thr, 50, 1.5);
}

TEST(PlantTest, ALittleMoreIsOverBudgetAndMuchMoreIsCritical) {
  EXPECT_LT(RunAt(Quiet(), 300).over, 1);
  EXPECT_GT(RunAt(Quiet(), 400).over, 90);
  EXPECT_EQ(RunAt(Quiet(), 400).crit_s, 0);
  const Figures much = RunAt(Quiet(), 600);
  EXPECT_GT(much.crit_s, 7000);
  EXPECT_NEAR(much.peak, (40 * (1 + 0.5 * 0.98 / 0.02) + 5000) / 150, 0.1) << "the queue is full";
}

TEST(PlantTest, TheTimeInWhichOthersAreOverBudgetDoesNotCount) {
  Scenario s = Quiet();
  s.foreground.base = 930;
  EXPECT_EQ(RunAt(s, 0).over, 0);
}

TEST(PlantTest, TheSameSeedIsTheSameWeather) {
  const Figures a = RunAt(Quiet(), 346);
  const Figures b = RunAt(Quiet(), 346);
  EXPECT_EQ(a.over, b.over);
  EXPECT_EQ(a.sev, b.sev);
}

TEST(PlantTest, CountsWhatIsSentBlind) {
  Scenario s = Quiet();
  s.outages = {{.span = {.from = 1000, .to = 2000}, .seen = Seen::kMissing}};
  EXPECT_EQ(RunAt(s, 100).blind, 100'000);
}

TEST(PlantTest, SettlesWhenInBudgetAndWellUsed) {
  Scenario s = Quiet();
  s.step_at = 3000;
  s.foreground.steps = {{.span = {.from = 0, .to = 3000}, .value = 900}};
  EXPECT_NEAR(RunAt(s, 300).settle, 60, 60);
  EXPECT_EQ(RunAt(s, 100).settle, 4200) << "never: too little is sent";
  EXPECT_TRUE(std::isnan(RunAt(Quiet(), 100).settle));
}

}  // namespace
}  // namespace backfill::throttle_bench
