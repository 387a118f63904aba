#include "worker/engine/partitions.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "worker/engine/partition_queues.h"

namespace backfill::worker {
namespace {

using namespace std::chrono_literals;

class PartitionsTest : public ::testing::Test {
 protected:
  PartitionSlot Meet(const std::string& name) {
    return partitions_.SlotOf({.position = 0, .key = name});
  }
  void Cap(std::map<std::string, double> named, double others = 0, Duration valid = 30s) {
    partitions_.SetCaps({.named = std::move(named), .others = others, .expires = now_ + valid}, 1,
                        now_);
  }
  bool MayGo(PartitionSlot slot) { return partitions_.ReadyAt(slot, 1, now_) <= now_; }

  Time now_{1h};
  Partitions partitions_{[](const Record& record) { return record.key; }};
};

TEST_F(PartitionsTest, WithoutCapsNothingMayGo) {
  const PartitionSlot eu = Meet("eu");
  EXPECT_EQ(partitions_.ReadyAt(eu, 1, now_), Time::max());
}

TEST_F(PartitionsTest, ACapFillsInItsTimeAndEndsWithIt) {
  const PartitionSlot eu = Meet("eu");
  Cap({{"eu", 10}});
  EXPECT_FALSE(MayGo(eu));
  now_ += 100ms;
  EXPECT_TRUE(MayGo(eu));
  now_ += 30s;
  EXPECT_FALSE(MayGo(eu));
}

TEST_F(PartitionsTest, ANameThatIsCappedBeforeItIsMetIsCappedFromItsFirstRecord) {
  Cap({{"eu", 1}}, 1000);
  const PartitionSlot eu = Meet("eu");
  EXPECT_TRUE(partitions_.HasOwnCap(eu));
  EXPECT_DOUBLE_EQ(partitions_.Cap(eu), 1);
}

TEST_F(PartitionsTest, WhatIsNotNamedSharesOneCap) {
  Cap({{"eu", 1}}, 10);
  const PartitionSlot us = Meet("us"), ap = Meet("ap");
  now_ += 100ms;
  ASSERT_TRUE(MayGo(us));
  partitions_.OnSent(us, 1, now_);
  EXPECT_FALSE(MayGo(ap));
}

TEST_F(PartitionsTest, WhatIsNoNameOfALabelHasNoSlotOfItsOwn) {
  EXPECT_EQ(Meet(""), 0);
  EXPECT_EQ(Meet(std::string(Partitions::kMaxName + 1, 'x')), 0);
  EXPECT_EQ(Meet("\xff"), 0);
  EXPECT_NE(Meet(std::string(Partitions::kMaxName, 'x')), 0);
}

TEST_F(PartitionsTest, MoreNamesThanThereAreSlotsShareTheCapOfTheOthers) {
  for (std::size_t i = 0; i < Partitions::kMax; ++i)
    EXPECT_EQ(Meet("p" + std::to_string(i)), i + 1);
  EXPECT_EQ(Meet("one more"), 0);
  Cap({{"one more", 1000}}, 10);
  EXPECT_DOUBLE_EQ(partitions_.Cap(Meet("one more")), 10);
}

TEST_F(PartitionsTest, ReportsWhatWasSentAndWhatItsCapHeldBack) {
  const PartitionSlot eu = Meet("eu");
  Meet("us");  // nothing of it
  Cap({{"eu", 10}});
  now_ += 100ms;
  partitions_.OnSent(eu, 1, now_);
  partitions_.OnHeldBack(eu);
  const PartitionReport report{.name = "eu", .attempts = 1, .waiting = 5, .limited = true};
  EXPECT_EQ(partitions_.Report({0, 5}), std::vector{report});
  EXPECT_FALSE(partitions_.Report({0, 5}).front().limited);  // since the last report
}

TEST(PartitionQueuesTest, ReadsOnWhileOneOfItsPartitionsHasTooFew) {
  PartitionQueues queues;
  EXPECT_FALSE(queues.HasEnough(1));
  for (Position p = 0; p < 256; ++p) queues.Add(1, {.position = p, .key = "k"});
  EXPECT_TRUE(queues.HasEnough(1));
  queues.Add(2, {.position = 256, .key = "k"});
  EXPECT_FALSE(queues.HasEnough(1));
  for (Position p = 257; p < 257 + 127; ++p) queues.Add(2, {.position = p, .key = "k"});
  EXPECT_TRUE(queues.HasEnough(1));
  EXPECT_FALSE(queues.HasEnough(129));  // not even a batch
}

TEST(PartitionQueuesTest, GivesAPartitionsRecordsInTheirOrderAndDropsThemFromTheEnd) {
  PartitionQueues queues;
  for (Position p = 0; p < 10; ++p)
    queues.Add(static_cast<PartitionSlot>(p % 2), {.position = p, .key = "k"});
  EXPECT_EQ(queues.DropFrom(6), 4U);
  std::vector<Record> batch;
  queues.Take(1, 3, batch);
  ASSERT_EQ(batch.size(), 3U);
  EXPECT_EQ(batch[0].position, 1);
  EXPECT_EQ(batch[2].position, 5);
  EXPECT_EQ(queues.size(1), 0U);
  EXPECT_EQ(queues.First(0), 0);
}

}  // namespace
}  // namespace backfill::worker
