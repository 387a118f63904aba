#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "tests/e2e/machine.h"

// What another terminal does while it runs takes effect within a second: measured from the start of
// the command.
namespace backfill::e2e {
namespace {

using testing::HasSubstr;

class LiveTest : public Machine {
 protected:
  void Running(int rate = 500, std::int64_t end = 100'000) {
    TargetIs({.bitmap = static_cast<std::uint64_t>(end)});
    spec_.end = end;
    spec_.rate = rate;
    WriteSpec(spec_);
    run_ = StartRun();
    ASSERT_TRUE(TargetSees(20)) << run_->Err();
  }
  // From now until the target has been silent for 300 ms; that silence is not counted.
  Duration TimeUntilSilent(Duration at_most = 5s) {
    const Time start = std::chrono::steady_clock::now();
    Time last_seen = start;
    std::uint64_t seen = sink_->stats().requests;
    while (std::chrono::steady_clock::now() - last_seen < 300ms) {
      if (std::chrono::steady_clock::now() - start > at_most) return at_most;
      std::this_thread::sleep_for(2ms);
      if (sink_->stats().requests != seen) {
        seen = sink_->stats().requests;
        last_seen = std::chrono::steady_clock::now();
      }
    }
    return last_seen - start;
  }
  double RateOver(Duration window) {
    const std::uint64_t before = sink_->stats().requests;
    const Time start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(window);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return static_cast<double>(sink_->stats().requests - before) / took.count();
  }

  Spec spec_;
  std::unique_ptr<Process> run_;
};

TEST_F(LiveTest, PauseAndResumeTakeEffectWithinASecond) {
  Running();
  auto pause = Start({"pause", "touch", "--reason", "incident 4711"});
  EXPECT_LT(TimeUntilSilent(), 1s);
  EXPECT_EQ(pause->Wait(5s).code, 0);
  EXPECT_TRUE(run_->running());
  EXPECT_TRUE(TimeUntil(2s, [&] { return Phase() == "Paused"; }));

  const std::uint64_t before = sink_->stats().requests;
  auto resume = Start({"resume", "touch"});
  const auto took = TimeUntil(5s, [&] { return sink_->stats().requests > before; });
  ASSERT_TRUE(took);
  EXPECT_LT(*took, 1s);
  EXPECT_EQ(resume->Wait(5s).code, 0);
}

TEST_F(LiveTest, ANewRateTakesEffectWithinASecondAndIsExact) {
  Running(/*rate=*/400);
  std::this_thread::sleep_for(1s);
  EXPECT_NEAR(RateOver(3s), 400, 400 * 0.05);
  spec_.rate = 100;
  WriteSpec(spec_);
  EXPECT_EQ(Command({"apply", "-f", file().string()}).code, 0);
  std::this_thread::sleep_for(1s);
  EXPECT_NEAR(RateOver(3s), 100, 100 * 0.08);
  spec_.rate = 2000;
  WriteSpec(spec_);
  EXPECT_EQ(Command({"apply", "-f", file().string()}).code, 0);
  std::this_thread::sleep_for(1s);
  EXPECT_NEAR(RateOver(3s), 2000, 2000 * 0.05);
}

TEST_F(LiveTest, OneRecordASecondIsOneRecordASecond) {
  Running(/*rate=*/500);
  spec_.rate = 1;
  WriteSpec(spec_);
  EXPECT_EQ(Command({"apply", "-f", file().string()}).code, 0);
  std::this_thread::sleep_for(1500ms);
  const std::uint64_t before = sink_->stats().requests;
  std::this_thread::sleep_for(5s);
  EXPECT_NEAR(static_cast<double>(sink_->stats().requests - before), 5, 1);
}

TEST_F(LiveTest, AFixedFieldIsRefusedAndTheRunGoesOn) {
  Running();
  spec_.end += 1;
  WriteSpec(spec_);
  const Exit exit = Command({"apply", "-f", file().string()});
  EXPECT_EQ(exit.code, 1);
  EXPECT_THAT(exit.err, HasSubstr("source is fixed once planned"));
  EXPECT_TRUE(run_->running());
  EXPECT_GT(RateOver(500ms), 100);
}

TEST_F(LiveTest, WorkersComeAndGoLive) {
  Running(/*rate=*/200);
  for (const int replicas : {4, 1}) {
    spec_.replicas = replicas;
    WriteSpec(spec_);
    EXPECT_EQ(Command({"apply", "-f", file().string()}).code, 0);
    EXPECT_TRUE(TimeUntil(
        5s, [&] { return ChildrenOf(run_->pid()).size() == static_cast<std::size_t>(replicas); }));
  }
  EXPECT_GT(RateOver(1s), 150);
  EXPECT_EQ(sink_->stats().duplicates, 0U)
      << "workers that are asked to go give their shards back exactly";
}

TEST_F(LiveTest, AllWorkersMayBeLostAtOnce) {
  TargetIs({.bitmap = 20'000});
  WriteSpec({.end = 20'000, .rate = 5000, .replicas = 6, .http_extra = "      timeout: 500ms\n"});
  auto run = StartRun();
  ASSERT_TRUE(TargetSees(100));
  for (const pid_t worker : ChildrenOf(run->pid())) kill(worker, SIGKILL);
  const Exit exit = run->Wait(60s);
  EXPECT_EQ(exit.code, 0) << exit.err << exit.out;
  EXPECT_EQ(sink_->stats().missing, 0U);
}

TEST_F(LiveTest, AnotherBatchSizeTakesEffectWhileItRuns) {
  TargetIs({.bitmap = 20'000});
  Spec spec{.end = 20'000, .rate = 4000, .batch = 10};
  WriteSpec(spec);
  auto run = StartRun();
  ASSERT_TRUE(TargetSees(50));
  spec.batch = 100;
  WriteSpec(spec);
  EXPECT_EQ(Command({"apply", "-f", file().string()}).code, 0);
  const Exit exit = run->Wait(60s);
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
  EXPECT_LT(sink_->stats().requests, 1500U) << "not ten in a request to the end";
}

TEST_F(LiveTest, CtrlCStopsCleanlyAndTheNextRunGoesOnWithoutADuplicate) {
  Running(/*rate=*/2000, /*end=*/6000);
  run_->Signal(SIGINT);
  EXPECT_LT(TimeUntilSilent(), 1s);
  const Exit exit = run_->Wait(10s);
  EXPECT_EQ(exit.code, 3) << exit.err;
  EXPECT_THAT(exit.out, HasSubstr("backfill run -f " + file().string()));
  spec_.rate = 100'000;
  WriteSpec(spec_);
  const Exit again = Run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(sink_->stats().missing, 0U);
  EXPECT_EQ(sink_->stats().duplicates, 0U);
}

TEST_F(LiveTest, ASecondCtrlCEndsAtOnce) {
  TargetIs({.bitmap = 100'000, .latency = 3s});
  spec_.end = 100'000;
  WriteSpec(spec_);
  run_ = StartRun();
  ASSERT_TRUE(TargetSees(1));
  run_->Signal(SIGINT);
  std::this_thread::sleep_for(300ms);
  const Time second = std::chrono::steady_clock::now();
  run_->Signal(SIGINT);
  EXPECT_EQ(run_->Wait(5s).code, 130);
  EXPECT_LT(std::chrono::steady_clock::now() - second, 1s);
}

TEST_F(LiveTest, ARunThatStartsPausedSaysHowToResume) {
  Running();
  run_->Signal(SIGINT);
  ASSERT_EQ(run_->Wait(10s).code, 3);
  ASSERT_EQ(Command({"pause", "touch"}).code, 0);
  const Exit exit = Run();
  EXPECT_EQ(exit.code, 3);
  EXPECT_THAT(exit.out, HasSubstr("backfill resume touch"));
}

TEST_F(LiveTest, AKilledRunnerLeavesNobodyBehindWhoSends) {
  Running();
  const auto workers = ChildrenOf(run_->pid());
  ASSERT_EQ(workers.size(), 2U);
  run_->Signal(SIGKILL);
  EXPECT_LT(TimeUntilSilent(), 1s);
  for (const pid_t worker : workers)
    EXPECT_TRUE(TimeUntil(15s, [&] { return kill(worker, 0) != 0; }))
        << "worker " << worker << " lives on";
}

}  // namespace
}  // namespace backfill::e2e
