#include "operator/observe/worker_signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using throttle::Answer;
using throttle::Observation;

class WorkerSignalsTest : public testing::Test {
 protected:
  // A worker that has sent so many more since its last report, of which some were retries; all took
  // the time of that bucket.
  void Sends(const std::string& worker, std::uint64_t attempts, std::uint64_t retries,
             std::size_t bucket) {
    WorkerTotals& totals = totals_[worker];
    totals.attempts += attempts;
    totals.retries += retries;
    totals.latency[bucket] += attempts;
    signals_.Report(worker, totals, now_);
  }
  Observation Ask(WorkerSignal signal, Duration window = 30s) const {
    return signals_.Read(signal, window, now_).observation;
  }

  WorkerSignals signals_;
  std::map<std::string, WorkerTotals> totals_;
  Time now_{1h};
};

TEST_F(WorkerSignalsTest, WithoutAReportThereIsNoData) {
  EXPECT_EQ(Ask(WorkerSignal::kErrorRatio).answer, Answer::kNoData);
  EXPECT_EQ(Ask(WorkerSignal::kLatencyP99).answer, Answer::kNoData);
}

TEST_F(WorkerSignalsTest, AFirstReportCountsNothing) {
  Sends("a", 1'000'000, 500'000, 3);  // an operator that has just taken over
  EXPECT_EQ(Ask(WorkerSignal::kErrorRatio).answer, Answer::kNotANumber);
  EXPECT_EQ(Ask(WorkerSignal::kLatencyP99).answer, Answer::kNotANumber);
}

TEST_F(WorkerSignalsTest, TheRatioIsOfAllWorkersTogether) {
  Sends("a", 10, 0, 1), Sends("b", 10, 0, 1);
  Sends("a", 90, 10, 1), Sends("b", 10, 0, 1);
  const Observation seen = Ask(WorkerSignal::kErrorRatio);
  EXPECT_EQ(seen.answer, Answer::kValue);
  EXPECT_DOUBLE_EQ(seen.value, 0.1);
  EXPECT_EQ(seen.time, now_);
}

TEST_F(WorkerSignalsTest, RecordsThatFailedForGoodAreFailures) {
  signals_.ReportFailed(50, now_);  // before we looked
  Sends("a", 0, 0, 1);
  Sends("a", 100, 4, 1);
  signals_.ReportFailed(51, now_);
  EXPECT_DOUBLE_EQ(Ask(WorkerSignal::kErrorRatio).value, 0.05);
  signals_.ReportFailed(0, now_);  // another stage
  EXPECT_DOUBLE_EQ(Ask(WorkerSignal::kErrorRatio).value, 0.05);
  signals_.ReportFailed(1'000'000, now_);
  EXPECT_DOUBLE_EQ(Ask(WorkerSignal::kErrorRatio).value, 1);
}

TEST_F(WorkerSignalsTest, TheNinetyNinthPercentIsInterpolatedInSeconds) {
  Sends("a", 0, 0, 1);
  Sends("a", 98, 0, 0);  // below 0.5 ms
  Sends("a", 2, 0, 9);   // 128 to 256 ms
  EXPECT_NEAR(Ask(WorkerSignal::kLatencyP99).value, 0.192, 1e-9);
  Sends("a", 1000, 0, 15);  // 8.192 s and more
  EXPECT_NEAR(Ask(WorkerSignal::kLatencyP99).value, 8.192, 1e-9);
}

TEST_F(WorkerSignalsTest, OnlyTheWindowCounts) {
  Sends("a", 0, 0, 1);
  Sends("a", 100, 100, 9);
  now_ += 31s;
  Sends("a", 100, 0, 1);
  EXPECT_DOUBLE_EQ(Ask(WorkerSignal::kErrorRatio).value, 0);
  EXPECT_DOUBLE_EQ(Ask(WorkerSignal::kErrorRatio, 60s).value, 0.5);
  EXPECT_LE(Ask(WorkerSignal::kLatencyP99).value, 0.001);
}

TEST_F(WorkerSignalsTest, WithoutTrafficThereIsNoNumber) {
  Sends("a", 0, 0, 1);
  Sends("a", 100, 0, 1);
  now_ += 31s;
  Sends("a", 0, 0, 1);
  EXPECT_EQ(Ask(WorkerSignal::kErrorRatio).answer, Answer::kNotANumber);
}

TEST_F(WorkerSignalsTest, AValueIsAsOldAsTheLastReport) {
  Sends("a", 0, 0, 1);
  Sends("a", 100, 0, 1);
  const Time reported = now_;
  now_ += 20s;
  EXPECT_EQ(Ask(WorkerSignal::kErrorRatio).time, reported);
}

TEST_F(WorkerSignalsTest, TotalsThatFellAreThoseOfAnotherProcess) {
  Sends("a", 0, 0, 1);
  Sends("a", 100, 0, 1);
  totals_["a"] = {};
  Sends("a", 7, 7, 1);
  EXPECT_DOUBLE_EQ(Ask(WorkerSignal::kErrorRatio).value, 0);
  Sends("a", 100, 20, 1);
  EXPECT_DOUBLE_EQ(Ask(WorkerSignal::kErrorRatio).value, 0.1);
}

TEST_F(WorkerSignalsTest, AWorkerThatIsForgottenBeginsAnew) {
  Sends("a", 0, 0, 1);
  signals_.Forget("a");
  Sends("a", 100, 100, 1);
  EXPECT_EQ(Ask(WorkerSignal::kErrorRatio).answer, Answer::kNotANumber);
}

TEST(SignalBoardTest, HasTheSignalsOfEachOwner) {
  SignalBoard board;
  EXPECT_EQ(board.Find("a"), nullptr);
  const auto signals = board.Of("a");
  EXPECT_EQ(board.Of("a"), signals);
  EXPECT_EQ(board.Find("a"), signals);
  EXPECT_NE(board.Of("b"), signals);
  board.Drop("a");
  EXPECT_EQ(board.Find("a"), nullptr);
}

}  // namespace
}  // namespace backfill::observe
