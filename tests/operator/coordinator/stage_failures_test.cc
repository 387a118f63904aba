#include <deque>

#include "operator/coordinator/stage_messages.h"
#include "operator/coordinator/stage_run.h"
#include "tests/operator/coordinator/stage_bench.h"

// The failures of a stage on their way from the worker into the store.
namespace backfill::coordinator {
namespace {

using v1::CoordinatorMessage;

// What a worker keeps of its failures until it is told that they are durable.
class FailingWorker {
 public:
  // A stream to `stage`, on which nothing was said yet.
  void Connect(StageBench& stage, const std::vector<v1::LeaseProgress>& held) {
    stage_ = &stage;
    session_ = stage.Hello("run-0", "i", held);
    for (Kept& kept : kept_) kept.sent_in = 0;
  }
  void Fail(const Range& positions) { kept_.push_back({positions}); }
  // Sends what the store may not have.
  void Report(const v1::LeaseRef& lease) {
    for (Kept& kept : kept_) {
      if (kept.sent_in == 0) kept.sent_in = stage_->Fail(session_, lease, kept.positions);
    }
  }
  // Forgets what the last answer says is durable.
  void Listen() {
    const auto ack = stage_->Last(session_, CoordinatorMessage::kAck);
    if (!ack) return;
    const std::uint64_t known = ack->ack().failures_durable();
    const std::uint64_t durable = known != 0 ? known : ack->answers();
    std::erase_if(kept_, [&](const Kept& k) { return k.sent_in != 0 && k.sent_in <= durable; });
  }
  [[nodiscard]] SessionId session() const { return session_; }
  [[nodiscard]] std::size_t kept() const { return kept_.size(); }

 private:
  struct Kept {
    Range positions;
    std::uint64_t sent_in = 0;  // 0: not on this stream
  };
  StageBench* stage_ = nullptr;
  SessionId session_;
  std::deque<Kept> kept_;
};

class StageFailuresTest : public StageTest {
 protected:
  std::uint64_t Durable(SessionId session) {
    return bench_->Last(session, CoordinatorMessage::kAck)->ack().failures_durable();
  }
};

TEST_F(StageFailuresTest, AnAnswerSaysUpToWhichMessageFailuresAreInTheStore) {
  StageBench& stage = Open(1, 1000);
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Progress(worker, 0, {StageBench::At(lease, 0)});
  const std::uint64_t nothing_failed = stage.Last(worker, CoordinatorMessage::kAck)->answers();
  EXPECT_EQ(Durable(worker), nothing_failed);
  const std::uint64_t first = stage.Fail(worker, lease.lease(), Range{0, 3});
  EXPECT_EQ(Durable(worker), first - 1);
  clock_.Advance(1s);
  stage.run().Settle();
  ASSERT_TRUE(stage.writer.held);
  const std::uint64_t second = stage.Fail(worker, lease.lease(), Range{3, 6});
  EXPECT_EQ(Durable(worker), first - 1) << "the batch is not written yet";
  clock_.Advance(1s);
  stage.FinishOneBatch();
  EXPECT_EQ(Durable(worker), second - 1) << "told at once, without another message";
  stage.FinishOneBatch();
  EXPECT_EQ(Durable(worker), second);
}

TEST_F(StageFailuresTest, WhatIsRepeatedAndInTheStoreAlreadyIsDurableAtOnce) {
  StageBench& stage = Open(1, 1000);
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  stage.Fail(worker, lease.lease(), Range{0, 3});
  stage.Pass(1s);
  const std::uint64_t again = stage.Fail(worker, lease.lease(), Range{0, 3});
  EXPECT_EQ(Durable(worker), again);
}

TEST_F(StageFailuresTest, AsManyAreListedAsCountedAlsoIfALeaderIsLostThatHadAcceptedThem) {
  constexpr std::int64_t kFailed = 6000, kAtOnce = 500;
  StageBench& before = Open(1, 10'000);
  FailingWorker worker;
  worker.Connect(before, {});
  const v1::Lease lease = before.Lease(worker.session());
  const auto fail = [&](std::int64_t from, std::int64_t to, const v1::LeaseRef& ref) {
    for (std::int64_t p = from; p < to; p += kAtOnce) {
      worker.Fail({p, p + kAtOnce});
      worker.Report(ref);
      worker.Listen();
    }
  };
  fail(0, kFailed, lease.lease());  // accepted, and not written
  EXPECT_TRUE(ReadFailures(memory_, RunKey())->empty());

  StageBench& after = Reopen();
  worker.Connect(after, {StageBench::At(lease, 0)});
  const v1::LeaseRef renewed = after.sink.sent[worker.session()].front().welcome().kept(0);
  worker.Report(renewed);
  v1::LeaseProgress done = StageBench::Complete(lease, kFailed);
  *done.mutable_lease() = renewed;
  after.Done(worker.session(), done);
  after.FinishWrites();
  worker.Listen();
  EXPECT_EQ(worker.kept(), 0u);
  EXPECT_EQ(after.run().Snapshot().totals.counts.failed, static_cast<std::uint64_t>(kFailed));
  EXPECT_EQ(ReadFailures(memory_, RunKey())->size(), static_cast<std::size_t>(kFailed));
}

TEST_F(StageFailuresTest, MoreThanAWorkerCanHaveUncountedEndsItsStream) {
  StageBench& stage = Open(1, 100'000);
  const SessionId worker = stage.Hello("run-0");
  const v1::Lease lease = stage.Lease(worker);
  const auto fail = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t p = from; p < to; p += 128) {
      stage.Fail(worker, lease.lease(), Range{p, p + 128});
    }
  };
  fail(0, 8192);
  stage.Progress(worker, 0, {StageBench::At(lease, 4096, 4096)});
  fail(8192, 8192 + 4096);
  fail(8192, 8192 + 4096);  // again: nothing new
  EXPECT_FALSE(stage.sink.closed.contains(worker));
  stage.Fail(worker, lease.lease(), Range{50'000, 50'001});
  EXPECT_EQ(stage.sink.closed.at(worker).code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace backfill::coordinator
