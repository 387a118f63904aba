// Sources that workers cannot read, targets that they cannot reach, and where in a file a lease
// lies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/coordinator/stage_bench.h"

namespace backfill::coordinator {
namespace {

using v1::CoordinatorMessage;

class StageSourceTest : public StageTest {
 protected:
  void Report(SessionId session, v1::SourceTrouble::Kind kind, const std::string& message) {
    v1::WorkerMessage report;
    report.mutable_source_trouble()->set_kind(kind);
    report.mutable_source_trouble()->set_message(message);
    bench_->Say(session, report);
  }
  void ReportTarget(SessionId session, const std::string& trouble) {
    v1::WorkerMessage report;
    report.mutable_progress()->set_target_trouble(trouble);
    bench_->Say(session, report);
  }
  std::optional<Error> Seen() { return bench_->run().Snapshot().source_error; }
};

TEST_F(StageSourceTest, AChangedSourceStopsAllWorkersForGood) {
  StageBench& bench = Open();
  const SessionId reader = bench.Hello("run-0");
  const SessionId other = bench.Hello("run-1");
  bench.Lease(other);
  bench.Pass(100ms);
  Report(reader, v1::SourceTrouble::KIND_CHANGED, "ids.csv: the file changed");
  EXPECT_TRUE(bench.Last(other, CoordinatorMessage::kPause)->pause().paused());
  bench.Pass(300ms);
  EXPECT_EQ(bench.Last(other, CoordinatorMessage::kGrant)->grant().records_per_second(), 0);
  ASSERT_TRUE(Seen().has_value());
  EXPECT_EQ(Seen()->code, ErrorCode::kConflict);
  EXPECT_EQ(Seen()->message, "ids.csv: the file changed");

  const std::size_t before = bench.Count(other, CoordinatorMessage::kLease);
  bench.run().Configure(Running());
  bench.Disconnect(reader);
  bench.Progress(other, 2);
  bench.FinishWrites();
  EXPECT_EQ(bench.Count(other, CoordinatorMessage::kLease), before);
  EXPECT_TRUE(Seen().has_value());
  const SessionId late = bench.Hello("run-2");
  EXPECT_TRUE(bench.Last(late, CoordinatorMessage::kWelcome)->welcome().paused());
}

TEST_F(StageSourceTest, ASourceThatIsAwayIsShownForAsLongAsAWorkerSaysSo) {
  StageBench& bench = Open();
  const SessionId reader = bench.Hello("run-0");
  Report(reader, v1::SourceTrouble::KIND_UNAVAILABLE, "ids.csv: no route");
  ASSERT_TRUE(Seen().has_value());
  EXPECT_EQ(Seen()->code, ErrorCode::kUnavailable);
  EXPECT_EQ(bench.Last(reader, CoordinatorMessage::kPause), std::nullopt);
  Report(reader, v1::SourceTrouble::KIND_NONE, "");
  EXPECT_FALSE(Seen().has_value());
  Report(reader, v1::SourceTrouble::KIND_UNAVAILABLE, "ids.csv: no route");
  bench.Disconnect(reader);
  EXPECT_FALSE(Seen().has_value());
}

TEST_F(StageSourceTest, ATargetThatCannotBeReachedIsShownForAsLongAsAWorkerSaysSo) {
  StageBench& bench = Open();
  const SessionId one = bench.Hello("run-0");
  const SessionId other = bench.Hello("run-1");
  EXPECT_EQ(bench.run().Snapshot().without_target, 0);
  ReportTarget(one, "connecting: Connection refused");
  EXPECT_EQ(bench.run().Snapshot().without_target, 1);
  EXPECT_EQ(bench.run().Snapshot().target_trouble, "connecting: Connection refused");
  ReportTarget(other, "looking up orders: Host not found");
  EXPECT_EQ(bench.run().Snapshot().without_target, 2);
  bench.Disconnect(other);
  ReportTarget(one, "");
  EXPECT_EQ(bench.run().Snapshot().without_target, 0);
  EXPECT_EQ(bench.run().Snapshot().target_trouble, "");
}

TEST_F(StageSourceTest, OnlyWorkersWithAShardCountAsWorking) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  bench.Hello("run-1");
  EXPECT_EQ(bench.run().Snapshot().working, 0);
  bench.Lease(worker);
  EXPECT_EQ(bench.run().Snapshot().working, 1);
}

TEST_F(StageSourceTest, ATargetThatAsksToBeLeftAloneIsShownForSoLong) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  EXPECT_FALSE(bench.run().Snapshot().target_held_for.has_value());
  bench.HoldBack(worker, 5s);
  EXPECT_EQ(bench.run().Snapshot().target_held_for, Duration(5s));
  bench.Pass(6s);
  EXPECT_FALSE(bench.run().Snapshot().target_held_for.has_value());
}

TEST_F(StageSourceTest, AReasonThatIsTooLongEndsTheStream) {
  StageBench& bench = Open();
  const SessionId worker = bench.Hello("run-0");
  ReportTarget(worker, std::string(1025, 'x'));
  EXPECT_EQ(bench.run().Snapshot().connected, 0);
}

TEST_F(StageSourceTest, ALeaseOfAFileSaysWhereItLies) {
  plan::Plan plan = PlanOf(2, 100);
  plan.file.emplace();
  for (plan::PlannedShard& s : plan.shards) {
    s.extent = rows::Extent{.first = s.range.begin,
                            .records = s.records,
                            .offset = 500 + static_cast<std::uint64_t>(s.range.begin),
                            .bytes = 90,
                            .line = 7,
                            .crc32c = 0xfeed};
  }
  LedgerStore creator(memory_, RunKey());
  ASSERT_TRUE(creator.Create(Images(plan), Epoch{0}).ok());
  StageBench& bench = Reopen();
  const SessionId worker = bench.Hello("run-0");
  bench.Lease(worker);
  const v1::Lease lease = bench.Lease(worker);
  EXPECT_EQ(lease.extent().first(), lease.begin());
  EXPECT_EQ(lease.extent().records(), 100U);
  EXPECT_EQ(lease.extent().offset(), 500U + static_cast<std::uint64_t>(lease.begin()));
  EXPECT_EQ(lease.extent().bytes(), 90U);
  EXPECT_EQ(lease.extent().line(), 7U);
  EXPECT_EQ(lease.extent().crc32c(), 0xfeedU);
}

}  // namespace
}  // namespace backfill::coordinator
