#include "worker/engine/failure_buffer.h"

namespace backfill::worker {
namespace {

const LeaseKey kLease{ShardId{1}, Attempt{1}};
const LeaseKey kOther{ShardId{2}, Attempt{1}};

FailedRecord At(Position p) { return {.position = p, .key = std::to_string(p)}; }

TEST(FailureBufferTest, GivesEachFailureOnceInOrder) {
  FailureBuffer b;
  b.Add(kLease, At(1));
  b.Add(kLease, At(2));
  const auto message = b.Take(1);
  EXPECT_EQ(message.lease, kLease);
  ASSERT_EQ(message.failures.size(), 2u);
  EXPECT_EQ(message.failures[0].position, 1);
  EXPECT_FALSE(b.has_unsent());
  EXPECT_TRUE(b.Take(2).failures.empty());
}

TEST(FailureBufferTest, AMessageIsOfOneLeaseAndBounded) {
  FailureBuffer b;
  b.Add(kOther, At(0));
  for (Position p = 0; p < 700; ++p) b.Add(kLease, At(p));
  EXPECT_EQ(b.Take(1).lease, kOther);
  EXPECT_EQ(b.Take(2).failures.size(), FailureBuffer::kPerMessage);
  EXPECT_EQ(b.Take(3).failures.size(), 200u);
  EXPECT_FALSE(b.has_unsent());
}

TEST(FailureBufferTest, SendsEverythingAgainOnANewStreamAlsoWhatWasAccepted) {
  FailureBuffer b;
  b.Add(kLease, At(1));
  b.Take(1);
  b.OnAnswered(1);
  b.BeginStream();
  EXPECT_EQ(b.Take(2).failures.size(), 1u);
}

TEST(FailureBufferTest, ForgetsWithTheLease) {
  FailureBuffer b;
  b.Add(kLease, At(1));
  b.Add(kOther, At(2));
  b.Forget(kLease);
  EXPECT_EQ(b.size(), 1u);
  EXPECT_EQ(b.Take(1).lease, kOther);
}

TEST(FailureBufferTest, IsFullUntilTheCoordinatorHasAccepted) {
  FailureBuffer b;
  for (Position p = 0; p < Position{FailureBuffer::kMax}; ++p) b.Add(kLease, At(p));
  EXPECT_TRUE(b.full());
  while (b.has_unsent()) b.Take(7);
  EXPECT_TRUE(b.full());
  b.OnAnswered(6);
  EXPECT_TRUE(b.full());
  b.OnAnswered(7);
  EXPECT_FALSE(b.full());
  b.Add(kLease, At(99'999));
  EXPECT_EQ(b.size(), FailureBuffer::kMax) << "an accepted one made room";
}

}  // namespace
}  // namespace backfill::worker
