#include "operator/reconcile/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/reconcile/decide_fixture.h"

namespace backfill::reconcile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

class EventsTest : public DecideTest {
 protected:
  // "Warning Failed" of what this step has changed.
  std::vector<std::string> Told() {
    const api::Status before = o_.backfill.status;
    Step();
    last_ = EventsOf(before, o_.backfill.status);
    std::vector<std::string> told;
    for (const BackfillEvent& e : last_) {
      EXPECT_LE(e.note.size(), 1024U);
      EXPECT_FALSE(e.action.empty());
      told.push_back((e.warning ? "Warning " : "Normal ") + e.reason);
    }
    return told;
  }
  std::vector<BackfillEvent> last_;
};

TEST_F(EventsTest, AWholeLifeIsAHandfulOfEvents) {
  EXPECT_THAT(Told(), IsEmpty()) << "it has just been seen";
  api::Status before = o_.backfill.status;
  Planned();
  EXPECT_THAT(EventsOf(before, o_.backfill.status).at(0).note,
              std::string("10 shards, 1000 records, ") + kHash);
  EXPECT_THAT(Told(), IsEmpty()) << "that was told";
  Opened(o_.dry_run, 4);
  EXPECT_THAT(Told(), IsEmpty());
  before = o_.backfill.status;
  o_.backfill.status.dry_run = api::ProgressStatus{1000, 990, 0, 0, 10, 10, "1.000", 0};
  EXPECT_EQ(EventsOf(before, o_.backfill.status).at(0).note,
            "1000 records: 990 updated, 0 unchanged, 0 skipped, 10 failed");
  o_.dry_run.open.reset();
  WorkersGone(o_.dry_run);
  RealRun();
  ReportBegun();
  EXPECT_THAT(Told(), ElementsAre("Normal RunStarted"));
  for (int done = 1; done < 10; ++done) {
    Opened(o_.run, done);
    EXPECT_THAT(Told(), IsEmpty()) << "never one for a shard";
  }
  PausedBy("incident 4711");
  EXPECT_THAT(Told(), ElementsAre("Normal Paused"));
  EXPECT_EQ(last_[0].note, "AnnotationPaused: incident 4711");
  EXPECT_THAT(Told(), IsEmpty());
  o_.backfill.annotations.clear();
  EXPECT_THAT(Told(), ElementsAre("Normal Resumed"));
  o_.backfill.spec.workers.replicas = 9;
  EXPECT_THAT(Told(), ElementsAre("Normal WorkersScaled"));
  EXPECT_EQ(last_[0].note, "from 2 to 9");
  WorkersGone(o_.run);
  o_.run.open.reset();
  o_.run.ledger->totals = TotalsOf(10, 10, 100);
  o_.report = ReportState::kCompleted;
  EXPECT_THAT(Told(), ElementsAre("Normal Completed"));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(EventsTest, F9_OneEventForWhatIsTriedAgainAndAgain) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run);
  Told();
  o_.run.pool.trouble = PoolTrouble{"QuotaExceeded", "pods: exceeded quota"};
  EXPECT_THAT(Told(), ElementsAre("Warning WorkersUnavailable"));
  EXPECT_EQ(last_[0].note, "QuotaExceeded: pods: exceeded quota");
  for (int i = 0; i < 20; ++i) {
    Later(1min);
    o_.run.pool.trouble->message = "pods: exceeded quota, try " + std::to_string(i);
    EXPECT_THAT(Told(), IsEmpty()) << i;
  }
  o_.run.pool.trouble.reset();
  EXPECT_THAT(Told(), IsEmpty()) << "it goes on";
}

TEST_F(EventsTest, RecordsThatFailAreToldOnce) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 1);
  Told();
  for (std::uint64_t failed = 1; failed < 5; ++failed) {
    o_.run.open->totals.counts.failed = failed;
    if (failed == 1) {
      EXPECT_THAT(Told(), ElementsAre("Warning RecordsFailing"));
    } else {
      EXPECT_THAT(Told(), IsEmpty());
    }
  }
}

TEST_F(EventsTest, APauseForFailuresIsToldAsWhatItIs) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  Told();
  o_.run.open->totals.counts.failed = 11;
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  EXPECT_THAT(Told(), ElementsAre("Warning RecordsFailing", "Warning FailureBudgetExceeded"));
}

TEST_F(EventsTest, ARunThatFailsIsToldOnceWithTheReason) {
  RealRun();
  Planned();
  o_.run.ledger->totals = TotalsOf(10, 10, 100, 11);
  o_.backfill.spec.failure_policy.max_failed_records = 10;
  o_.report = ReportState::kFailed;
  EXPECT_THAT(Told(), testing::Contains("Warning Failed"));
  EXPECT_THAT(last_.back().note, HasSubstr("FailureBudgetExceeded"));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(EventsTest, OutcomesThatDoNotAddUpAreTold) {
  RealRun();
  Planned();
  o_.run.ledger->totals = TotalsOf(10, 10, 100);
  o_.run.ledger->totals.counts.updated -= 1;
  o_.report = ReportState::kFailed;
  EXPECT_THAT(Told(), testing::IsSupersetOf({"Warning VerificationMismatch", "Warning Failed"}));
}

TEST_F(EventsTest, ASecondRunOfTheNameIsTold) {
  RealRun();
  o_.report = ReportState::kOtherRun;
  EXPECT_THAT(Told(), ElementsAre("Warning AlreadyRan"));
}

TEST_F(EventsTest, ADrainThatTakesTooLongIsTold) {
  RealRun();
  Planned();
  ReportBegun();
  Opened(o_.run, 4);
  Told();
  o_.backfill.deletion_time = FormatWallTime(now_);
  EXPECT_THAT(Told(), IsEmpty());
  o_.deleting_for = 120s;
  EXPECT_THAT(Told(), ElementsAre("Warning DrainTimeout"));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST(ThrottleEventsTest, AHotPartitionIsToldOnceAndSoIsTheNextOne) {
  api::Status cool, hot;
  cool.throttle.emplace().slowest_partition = api::PartitionStatus{"eu", 5, false};
  hot.throttle.emplace().slowest_partition = api::PartitionStatus{"eu", 5, true};
  EXPECT_THAT(EventsOf(api::Status{}, cool), IsEmpty());
  const auto told = EventsOf(cool, hot);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told.front().warning);
  EXPECT_EQ(told.front().reason, "HotPartition");
  EXPECT_THAT(told.front().note, HasSubstr("partition eu"));
  EXPECT_THAT(EventsOf(hot, hot), IsEmpty());
  EXPECT_THAT(EventsOf(hot, cool), IsEmpty());
  api::Status other = hot;
  other.throttle->slowest_partition->name = "us";
  EXPECT_EQ(EventsOf(hot, other).size(), 1U);
}

TEST_F(EventsTest, NotesEndBetweenCharacters) {
  api::Status after;
  std::string text;
  while (text.size() < 3000) text += "\xc3\xa4";
  after.conditions = {{"Ready", api::ConditionStatus::kFalse, "Forbidden", "x" + text, 1, ""}};
  const auto told = EventsOf({}, after);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].note.size(), 1023U);
}

}  // namespace
}  // namespace backfill::reconcile
