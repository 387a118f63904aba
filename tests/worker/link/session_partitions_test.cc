// The worker's side of what may be sent to partitions of a target.
#include "tests/worker/link/session_fixture.h"

namespace backfill::worker {
namespace {

class SessionPartitionsTest : public SessionTest {
 protected:
  void BeginWithPartitions() {
    session_.engine().PartitionBy(
        [](const Record& record) { return record.position % 2 == 0 ? "eu" : "us"; });
    Begin();
  }
  v1::CoordinatorMessage Caps(double eu, double us, std::uint32_t valid_ms = 30'000) const {
    v1::CoordinatorMessage m;
    v1::PartitionCaps& caps = *m.mutable_partition_caps();
    caps.set_valid_for_ms(valid_ms);
    for (const auto& [name, rate] : {std::pair("eu", eu), std::pair("us", us)}) {
      v1::PartitionCap& cap = *caps.add_caps();
      cap.set_name(name);
      cap.set_records_per_second(rate);
    }
    return m;
  }
};

TEST_F(SessionPartitionsTest, NothingIsSentBeforeThereAreCapsAndAfterTheyHaveExpired) {
  BeginWithPartitions();
  EXPECT_EQ(Work(10), 0);
  TellAll(Caps(1000, 1000));
  now_ += 10ms;
  EXPECT_EQ(Work(10), 10);
  now_ += 31s;
  TellAll(Grant(2, 1e6));
  now_ += 10ms;
  EXPECT_EQ(Work(10), 0);
}

TEST_F(SessionPartitionsTest, CapsInAnswerToNothingKnownGiveNothing) {
  BeginWithPartitions();
  Tell(Caps(1000, 1000), 77);
  now_ += 10ms;
  EXPECT_EQ(Work(10), 0);
}

TEST_F(SessionPartitionsTest, SaysWhatWasSentAndWhatWaitsByPartition) {
  BeginWithPartitions();
  TellAll(Caps(0, 1e5));
  now_ += 10ms;
  EXPECT_EQ(Work(100), 50);
  Sent();
  Wait(1s);
  ASSERT_FALSE(Reports().empty());
  const v1::Progress& report = *Reports().back();
  ASSERT_EQ(report.partitions_size(), 2);
  EXPECT_EQ(report.partitions(0).name(), "eu");
  EXPECT_EQ(report.partitions(0).waiting(), 50U);
  EXPECT_TRUE(report.partitions(0).limited());
  EXPECT_EQ(report.partitions(1).attempts(), 50U);
  EXPECT_EQ(report.partitions(1).waiting(), 0U);
}

// What waits is part of no progress: it goes back with the lease.
TEST_F(SessionPartitionsTest, DrainingGivesBackWhatWaits) {
  BeginWithPartitions();
  TellAll(Caps(0, 1e5));
  now_ += 10ms;
  EXPECT_EQ(Work(100), 50);
  Sent();
  session_.Drain(now_);
  Wait(20ms);
  const auto sent = Sent();
  const auto draining =
      std::find_if(sent.begin(), sent.end(), [](const auto& m) { return m.has_draining(); });
  ASSERT_NE(draining, sent.end());
  ASSERT_EQ(draining->draining().leases_size(), 1);
  EXPECT_EQ(draining->draining().leases(0).cursor(), 0);
  EXPECT_EQ(draining->draining().leases(0).counts().updated(), 50U);
}

TEST_F(SessionPartitionsTest, SaysThatItObeysCaps) {
  Connect();
  ASSERT_TRUE(host_.sent.front().has_hello());
  EXPECT_TRUE(host_.sent.front().hello().partitions());
}

}  // namespace
}  // namespace backfill::worker
