#include "operator/coordinator/plan_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/coordinator/plan_messages.h"
#include "operator/coordinator/workload.h"
#include "tests/fakes/manual_clock.h"
#include "tests/operator/coordinator/stage_bench.h"

namespace backfill::coordinator {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr SessionId kFirst{1}, kSecond{2};

v1::Workload FileWork(const std::string& path = "/data/ids.csv", bool sharding = true,
                      int replicas = 7) {
  api::Backfill b;
  b.name = "reprice", b.ns = "shop", b.uid = "u1";
  b.spec.source =
      api::FileSource{.path = path, .format = api::FileFormat::kCsv, .key = "id", .delimiter = {}};
  b.spec.target.url = "http://orders/{{key}}?s={{fields.state}}";
  if (sharding) b.spec.sharding = api::Sharding{500};
  b.spec.workers.replicas = replicas;
  return MakeWorkload(b, reconcile::Stage::kPlan);
}

class PlanRunTest : public testing::Test {
 protected:
  void Say(SessionId session, v1::WorkerMessage message) {
    message.set_sequence(++sequence_[session]);
    run_.OnMessage(session, message);
  }
  void Hello(SessionId session = kFirst, const std::string& worker = "plan-0") {
    v1::WorkerMessage m;
    m.mutable_hello()->set_worker(worker);
    m.mutable_hello()->set_instance("i");
    Say(session, m);
  }
  void Read(std::uint64_t bytes, SessionId session = kFirst) {
    v1::WorkerMessage m;
    m.mutable_plan_progress()->set_bytes_read(bytes);
    m.mutable_plan_progress()->set_bytes_total(1'000);
    m.mutable_plan_progress()->set_records(bytes / 10);
    Say(session, m);
  }
  // `count` shards of ten records from `first` on.
  void Part(std::uint64_t first, int count, SessionId session = kFirst) {
    v1::WorkerMessage m;
    m.mutable_plan_part()->set_first(first);
    for (int i = 0; i < count; ++i) {
      v1::FileExtent& e = *m.mutable_plan_part()->add_shards();
      const std::uint64_t n = first + static_cast<std::uint64_t>(i);
      e.set_first(static_cast<std::int64_t>(n * 10));
      e.set_records(10);
      e.set_offset(3 + n * 100);
      e.set_bytes(100);
      e.set_line(2 + n * 10);
    }
    Say(session, m);
  }
  void End(std::uint64_t shards, SessionId session = kFirst) {
    v1::WorkerMessage m;
    v1::PlanEnd& end = *m.mutable_plan_end();
    end.set_shards(shards);
    end.set_records(shards * 10);
    end.set_bytes(3 + shards * 100);
    end.mutable_shape()->add_columns("id");
    Say(session, m);
  }
  void Fails(v1::PlanFailure::Kind kind, const std::string& why) {
    v1::WorkerMessage m;
    m.mutable_plan_failure()->set_kind(kind);
    m.mutable_plan_failure()->set_message(why);
    Say(kFirst, m);
  }
  reconcile::PlanningSnapshot Seen() { return run_.Snapshot(FileWork().SerializeAsString()); }
  ErrorCode Code() { return run_.Found().ok() ? ErrorCode::kConflict : run_.Found().error().code; }

  fakes::ManualClock clock_;
  LeadershipLever leadership_;
  RecordingSink sink_;
  std::map<SessionId, std::uint64_t> sequence_;
  PlanRun run_{FileWork(), 1s, clock_, leadership_, sink_};
};

TEST_F(PlanRunTest, TellsItsWorkerWhatToReadAndNothingOfTheTarget) {
  Hello();
  ASSERT_THAT(sink_.sent[kFirst], SizeIs(1));
  const v1::Welcome& welcome = sink_.sent[kFirst][0].welcome();
  const v1::Workload& w = welcome.workload();
  EXPECT_EQ(w.source().file().path(), "/data/ids.csv");
  EXPECT_FALSE(w.source().file().has_shape());
  ASSERT_EQ(w.mode_case(), v1::Workload::kPlan);
  EXPECT_EQ(w.plan().records_per_shard(), 500u);
  ASSERT_EQ(w.plan().needed_size(), 1);
  EXPECT_EQ(w.plan().needed(0).name(), "state");
  EXPECT_EQ(welcome.limits().report_period_ms(), 1000u);
  EXPECT_THAT(w.SerializeAsString(), testing::Not(HasSubstr("http://orders")));
}

TEST_F(PlanRunTest, TakesInWhatWasFound) {
  Hello();
  Read(400);
  EXPECT_TRUE(Seen().connected);
  EXPECT_EQ(Seen().bytes_read, 400u);
  EXPECT_EQ(Seen().bytes_total, 1'000u);
  EXPECT_EQ(Seen().records, 40u);
  EXPECT_EQ(Code(), ErrorCode::kNotFound);
  Part(0, 2);
  Part(2, 1);
  EXPECT_FALSE(Seen().ended);
  End(3);
  EXPECT_TRUE(Seen().ended);
  ASSERT_TRUE(run_.Found().ok());
  EXPECT_EQ(run_.Found()->shards.size(), 3u);
  EXPECT_EQ(sink_.sent[kFirst].size(), 5u) << "each message is answered";
  EXPECT_EQ(sink_.sent[kFirst].back().answers(), 5u);
  EXPECT_TRUE(run_.Found().ok()) << "it stays, until it is closed";
}

// What was under way on the stream before counts for nothing.
TEST_F(PlanRunTest, ANewStreamBeginsAnew) {
  Hello();
  Part(0, 2);
  run_.OnGone(kFirst);
  EXPECT_FALSE(Seen().connected);
  Hello(kSecond);
  Part(0, 1, kSecond);
  End(1, kSecond);
  ASSERT_TRUE(run_.Found().ok());
  EXPECT_EQ(run_.Found()->shards.size(), 1u);
}

TEST_F(PlanRunTest, WhatIsRepeatedAfterTheEndChangesNothing) {
  Hello();
  Part(0, 2);
  End(2);
  Hello(kSecond);
  Part(0, 5, kSecond);
  End(5, kSecond);
  EXPECT_EQ(run_.Found()->shards.size(), 2u);
}

TEST_F(PlanRunTest, F15_OfTwoStreamsTheLaterOneCounts) {
  Hello();
  Part(0, 2);
  Hello(kSecond);
  EXPECT_TRUE(sink_.closed.contains(kFirst));
  Part(0, 1, kSecond);
  End(2);  // of the first
  EXPECT_FALSE(Seen().ended);
  run_.OnGone(kFirst);
  EXPECT_TRUE(Seen().connected);
  End(1, kSecond);
  EXPECT_EQ(run_.Found()->shards.size(), 1u);
}

TEST_F(PlanRunTest, F18_ThereIsOnePlanner) {
  Hello(kFirst, "plan-1");
  EXPECT_EQ(sink_.closed.at(kFirst).code, ErrorCode::kInvalid);
  Part(0, 1);
  End(1);
  EXPECT_FALSE(Seen().ended);
}

TEST_F(PlanRunTest, F18_WhoClaimsToSendRecordsIsCutOff) {
  Hello();
  v1::WorkerMessage m;
  m.mutable_shard_done();
  Say(kFirst, m);
  EXPECT_EQ(sink_.closed.at(kFirst).code, ErrorCode::kInvalid);
  Part(0, 1);
  End(1);
  EXPECT_FALSE(Seen().ended);
}

TEST_F(PlanRunTest, F18_WhoHasSaidNoHelloIsNotHeard) {
  Part(0, 1);
  End(1);
  EXPECT_FALSE(Seen().ended);
}

TEST_F(PlanRunTest, F23_WhatIsNoPlanNeedsAPerson) {
  Hello();
  Part(1, 1);
  EXPECT_EQ(Code(), ErrorCode::kInvalid);
  EXPECT_THAT(run_.Found().error().message, HasSubstr("what its worker has sent is no plan"));
}

TEST_F(PlanRunTest, F23_AnEndThatDoesNotAddUpNeedsAPerson) {
  Hello();
  Part(0, 1);
  End(2);
  EXPECT_EQ(Code(), ErrorCode::kInvalid);
}

TEST_F(PlanRunTest, F23_APartIsBounded) {
  Hello();
  Part(0, kMaxPlanPart + 1);
  EXPECT_EQ(Code(), ErrorCode::kInvalid);
}

TEST_F(PlanRunTest, F23_TextsAreBounded) {
  v1::PlanEnd end;
  end.add_bad_samples(std::string(kMaxPlanText + 1, 'a'));
  EXPECT_FALSE(ToFacts(end).ok());
  v1::PlanFailure failure;
  failure.set_message(std::string(kMaxPlanText + 1, 'a'));
  EXPECT_EQ(ToError(failure).message.size(), kMaxPlanText);
}

TEST_F(PlanRunTest, SaysWhyItsWorkerCannot) {
  Hello();
  Fails(v1::PlanFailure::KIND_UNAVAILABLE, "/data/ids.csv: no such file");
  EXPECT_EQ(Code(), ErrorCode::kUnavailable);
  EXPECT_EQ(run_.Found().error().message, "/data/ids.csv: no such file");
}

TEST_F(PlanRunTest, TellsWhatNoRetryHeals) {
  Hello();
  Fails(v1::PlanFailure::KIND_INVALID, "");
  EXPECT_EQ(Code(), ErrorCode::kInvalid);
  EXPECT_EQ(run_.Found().error().message, "its worker does not say why");
}

TEST_F(PlanRunTest, R38_NothingIsTakenInNorSaidWhileLeadershipIsInDoubt) {
  Hello();
  Part(0, 1);
  leadership_.valid = false;
  End(1);
  EXPECT_EQ(sink_.closed.at(kFirst).code, ErrorCode::kUnavailable);
  EXPECT_FALSE(Seen().ended);
  Hello(kSecond);
  EXPECT_THAT(sink_.sent[kSecond], IsEmpty());
}

TEST_F(PlanRunTest, SaysForHowLongNothingWasRead) {
  Hello();
  Read(100);
  clock_.Advance(3min);
  Read(100);  // a sign of life, no more
  EXPECT_EQ(Seen().quiet_for, 3min);
  Read(200);
  EXPECT_EQ(Seen().quiet_for, 0s);
  clock_.Advance(3min);
  run_.OnGone(kFirst);
  EXPECT_EQ(Seen().quiet_for, 0s) << "who is not there is not quiet";
}

TEST_F(PlanRunTest, KnowsWhenTheSpecMeansSomethingElse) {
  EXPECT_FALSE(Seen().outdated);
  EXPECT_TRUE(run_.Snapshot(FileWork("/data/other.csv").SerializeAsString()).outdated);
}

TEST_F(PlanRunTest, TheNumberOfWorkersMattersOnlyToAPlanWithoutSharding) {
  const auto work = [](bool sharding, int replicas) {
    return FileWork("/data/ids.csv", sharding, replicas).SerializeAsString();
  };
  EXPECT_EQ(work(true, 7), work(true, 8));
  EXPECT_NE(work(false, 7), work(false, 8));
  EXPECT_EQ(FileWork("/data/ids.csv", false).plan().workers(), 7u);
}

TEST_F(PlanRunTest, ItsEndSendsTheWorkerAway) {
  Hello();
  run_.Close();
  EXPECT_EQ(sink_.closed.at(kFirst).code, ErrorCode::kUnavailable);
  run_.Close();
}

}  // namespace
}  // namespace backfill::coordinator
