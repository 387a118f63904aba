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
  EXPECT_EQ(b.unsent(), 0u);
  EXPECT_TRUE(b.Take(2).failures.empty());
}

TEST(FailureBufferTest, AMessageIsOfOneLeaseAndBounded) {
  FailureBuffer b;
  b.Add(kOther, At(0));
  for (Position p = 0; p < 700; ++p) b.Add(kLease, At(p));
  EXPECT_EQ(b.Take(1).lease, kOther);
  EXPECT_EQ(b.Take(2).failures.size(), FailureBuffer::kPerMessage);
  EXPECT_EQ(b.Take(3).failures.size(), 200u);
  EXPECT_EQ(b.unsent(), 0u);
}

TEST(FailureBufferTest, KeepsWhatIsNotInTheStoreAndSendsItAgainOnANewStream) {
  FailureBuffer b;
  b.Add(kLease, At(1));
  b.Take(5);
  b.Add(kLease, At(2));
  b.Take(6);
  b.Add(kLease, At(3));
  b.OnAck(/*answered=*/6, /*durable=*/5);
  EXPECT_EQ(b.size(), 2u);
  b.BeginStream();
  const auto again = b.Take(1);
  ASSERT_EQ(again.failures.size(), 2u);
  EXPECT_EQ(again.failures[0].position, 2);
  b.OnAck(1, 1);
  EXPECT_EQ(b.size(), 0u);
}

TEST(FailureBufferTest, WhatWasStoredOnAnEarlierStreamSaysNothingOfThisOne) {
  FailureBuffer b;
  b.Add(kLease, At(1));
  b.Take(9);
  b.BeginStream();
  b.OnAck(9, 9);
  EXPECT_EQ(b.size(), 1u) << "it has not been sent on this stream";
}

TEST(FailureBufferTest, ForgetsWithTheLease) {
  FailureBuffer b;
  b.Add(kLease, At(1));
  b.Add(kOther, At(2));
  b.Forget(kLease);
  EXPECT_EQ(b.size(), 1u);
  EXPECT_EQ(b.Take(1).lease, kOther);
}

TEST(FailureBufferTest, IsFullUntilTheStoreHasThem) {
  FailureBuffer b;
  for (Position p = 0; p < Position{FailureBuffer::kMax}; ++p) b.Add(kLease, At(p));
  EXPECT_TRUE(b.full());
  std::uint64_t sequence = 1;
  for (; b.unsent() > 0; ++sequence) b.Take(sequence);
  b.OnAck(sequence, 1);  // the first 500 are stored, all are answered
  EXPECT_FALSE(b.full());
  for (Position p = 0; p < 500; ++p) b.Add(kLease, At(10'000 + p));
  EXPECT_TRUE(b.full());
  b.Add(kLease, At(99'999));  // was in flight
  EXPECT_EQ(b.size(), FailureBuffer::kMax + 1) << "nothing is thrown away";
}

TEST(FailureBufferTest, ACoordinatorThatDoesNotSayWhatIsStoredHasWhatItAnswered) {
  FailureBuffer b;
  for (Position p = 0; p < Position{FailureBuffer::kMax}; ++p) b.Add(kLease, At(p));
  while (b.unsent() > 0) b.Take(7);
  EXPECT_TRUE(b.full());
  b.OnAck(6, 0);
  EXPECT_TRUE(b.full());
  b.OnAck(7, 0);
  EXPECT_FALSE(b.full());
  b.Add(kLease, At(99'999));
  b.Take(8);
  b.OnAck(8, 0);
  EXPECT_EQ(b.size(), FailureBuffer::kMax) << "the oldest made room";
  b.BeginStream();
  EXPECT_EQ(b.Take(1).failures[0].position, 1) << "and the others go again";
}

}  // namespace
}  // namespace backfill::worker
