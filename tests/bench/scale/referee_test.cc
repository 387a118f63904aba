#include "bench/scale/referee.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::scale {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

worker::LeaseKey Lease(int shard, std::uint32_t attempt) { return {{shard}, {attempt}}; }
std::vector<worker::Record> Records(Position from, int n = 1) {
  std::vector<worker::Record> records(static_cast<std::size_t>(n));
  for (auto& record : records) record.position = from++;
  return records;
}

class RefereeTest : public ::testing::Test {
 protected:
  Referee referee_{100};
};

TEST_F(RefereeTest, WhatIsInOrderIsPassedOver) {
  referee_.OnLease(0, Lease(1, 1));
  referee_.OnSent(0, Lease(1, 1), Records(0, 60));
  referee_.OnAnswered(0, Lease(1, 1));
  referee_.OnLease(1, Lease(1, 2));  // the first one has expired
  referee_.OnSent(1, Lease(1, 2), Records(50, 50));
  referee_.OnAnswered(1, Lease(1, 2));
  referee_.OnDurable(1, Lease(1, 2));
  referee_.OnDurable(1, Lease(1, 2));  // said again on another stream
  EXPECT_THAT(referee_.complaints(), IsEmpty());
  EXPECT_EQ(referee_.NeverSent(), 0u);
  EXPECT_EQ(referee_.sent_again(), 10u);
  EXPECT_EQ(referee_.shards_durable(), 1u);
}

TEST_F(RefereeTest, AnAttemptIsGivenToOneWorker) {
  referee_.OnLease(0, Lease(1, 1));
  referee_.OnLease(1, Lease(1, 1));
  EXPECT_THAT(referee_.complaints(), ElementsAre(HasSubstr("leased to workers 0 and 1")));
}

TEST_F(RefereeTest, TwoDoNotSendAtATime) {
  referee_.OnLease(0, Lease(1, 1));
  referee_.OnSent(0, Lease(1, 1), Records(0));
  referee_.OnLease(1, Lease(1, 2));
  referee_.OnSent(1, Lease(1, 2), Records(0));  // the other's is on the wire
  EXPECT_THAT(referee_.complaints(), ElementsAre(HasSubstr("while worker 0 was sending")));
}

TEST_F(RefereeTest, NothingOfAnEarlierAttemptComesLater) {
  referee_.OnLease(0, Lease(1, 1));
  referee_.OnLease(1, Lease(1, 2));
  referee_.OnSent(1, Lease(1, 2), Records(0));
  referee_.OnAnswered(1, Lease(1, 2));
  referee_.OnSent(0, Lease(1, 1), Records(1));
  EXPECT_THAT(referee_.complaints(), ElementsAre(HasSubstr("after worker 1 had begun")));
}

TEST_F(RefereeTest, AShardIsDoneOnce) {
  referee_.OnLease(0, Lease(1, 1));
  referee_.OnDurable(0, Lease(1, 1));
  referee_.OnLease(1, Lease(1, 2));
  EXPECT_THAT(referee_.complaints(), ElementsAre(HasSubstr("its end was durable")));
}

TEST_F(RefereeTest, GrantsAddUpToTheRateOrToTheOneBeforeForAWhile) {
  const Time start = Time() + 1h;
  referee_.OnRate(100, start, 30s);
  referee_.OnGrants(100, start);
  referee_.OnRate(50, start + 1min, 30s);
  referee_.OnGrants(100, start + 1min + 29s);
  EXPECT_THAT(referee_.complaints(), IsEmpty());
  referee_.OnGrants(51, start + 1min + 31s);
  EXPECT_THAT(referee_.complaints(), ElementsAre(HasSubstr("add up to 51.0")));
}

}  // namespace
}  // namespace backfill::scale
