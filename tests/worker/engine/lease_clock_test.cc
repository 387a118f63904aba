// The safety core: each test tries to make a lease last longer than `fence` after the sending of an
// answered message.
#include "worker/engine/lease_clock.h"

#include <rapidcheck.h>

#include <chrono>
#include <deque>

namespace backfill::worker {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Duration kFence = 50s;
const LeaseKey kFirstLease{ShardId{3}, Attempt{1}};
const LeaseKey kSecondLease{ShardId{4}, Attempt{1}};

class LeaseClockTest : public ::testing::Test {
 protected:
  std::uint64_t Send() { return clock_.OnSend(now_); }
  Time now_{1h};
  LeaseClock clock_{kFence};
};

TEST_F(LeaseClockTest, NumbersMessagesFromOne) {
  EXPECT_EQ(Send(), 1u);
  EXPECT_EQ(Send(), 2u);
  clock_.BeginStream();
  EXPECT_EQ(Send(), 1u);
}

TEST_F(LeaseClockTest, ALeaseLastsFromTheSendingOfWhatItAnswersNotFromItsReceipt) {
  const auto hello = Send();
  now_ += 30s;  // the lease was long on its way
  ASSERT_TRUE(clock_.Add(kFirstLease, hello, now_));
  now_ += 20s - 1ns;
  EXPECT_TRUE(clock_.MaySend(kFirstLease, now_));
  now_ += 1ns;
  EXPECT_FALSE(clock_.MaySend(kFirstLease, now_));
}

TEST_F(LeaseClockTest, ALeaseThatComesAfterItsFenceIsNotTaken) {
  const auto hello = Send();
  now_ += kFence;
  EXPECT_FALSE(clock_.Add(kFirstLease, hello, now_));
  EXPECT_FALSE(clock_.MaySend(kFirstLease, now_));
}

TEST_F(LeaseClockTest, AnAnswerToNothingGivesNothing) {
  EXPECT_FALSE(clock_.Add(kFirstLease, 0, now_));
  EXPECT_FALSE(clock_.Add(kFirstLease, 1, now_)) << "nothing was sent yet";
  Send();
  EXPECT_FALSE(clock_.Add(kFirstLease, 2, now_)) << "not sent yet";
  EXPECT_FALSE(clock_.Add(kFirstLease, UINT64_MAX, now_));
}

TEST_F(LeaseClockTest, ConfirmationExtendsFromTheSendingOfTheReport) {
  ASSERT_TRUE(clock_.Add(kFirstLease, Send(), now_));
  now_ += 20s;
  const auto report = Send();
  now_ += 25s;
  clock_.Extend(kFirstLease, report, now_);
  EXPECT_EQ(clock_.End(kFirstLease), now_ + 25s);
}

TEST_F(LeaseClockTest, ExtendsOnlyTheNamedLease) {
  const auto hello = Send();
  ASSERT_TRUE(clock_.Add(kFirstLease, hello, now_));
  ASSERT_TRUE(clock_.Add(kSecondLease, hello, now_));
  now_ += 20s;
  clock_.Extend(kFirstLease, Send(), now_);
  now_ += 30s;
  EXPECT_TRUE(clock_.MaySend(kFirstLease, now_));
  EXPECT_FALSE(clock_.MaySend(kSecondLease, now_));
}

TEST_F(LeaseClockTest, ALateAnswerDoesNotShorten) {
  const auto hello = Send();
  ASSERT_TRUE(clock_.Add(kFirstLease, hello, now_));
  now_ += 10s;
  const auto report = Send();
  clock_.Extend(kFirstLease, report, now_);
  const auto end = clock_.End(kFirstLease);
  clock_.Extend(kFirstLease, hello, now_);  // reordered
  EXPECT_EQ(clock_.End(kFirstLease), end);
}

TEST_F(LeaseClockTest, RepeatingAnAnswerChangesNothing) {
  ASSERT_TRUE(clock_.Add(kFirstLease, Send(), now_));
  const auto report = Send();
  for (int i = 0; i < 40; ++i) {
    clock_.Extend(kFirstLease, report, now_);
    now_ += 1s;
  }
  EXPECT_EQ(clock_.End(kFirstLease), now_ - 40s + kFence);
}

TEST_F(LeaseClockTest, AnExpiredLeaseIsNeverExtendedHoweverFreshTheAnswer) {
  ASSERT_TRUE(clock_.Add(kFirstLease, Send(), now_));
  now_ += 49s;
  const auto report = Send();  // would give 50 s more
  now_ += 1s;
  clock_.Extend(kFirstLease, report, now_);
  EXPECT_FALSE(clock_.MaySend(kFirstLease, now_)) << "another worker may have it by now";
}

TEST_F(LeaseClockTest, AnAnswerToAnUnknownLeaseGivesNothing) {
  clock_.Extend(kFirstLease, Send(), now_);
  EXPECT_FALSE(clock_.MaySend(kFirstLease, now_));
  ASSERT_TRUE(clock_.Add(kFirstLease, Send(), now_));
  clock_.Remove(kFirstLease);
  clock_.Extend(kFirstLease, Send(), now_);
  EXPECT_FALSE(clock_.MaySend(kFirstLease, now_));
}

TEST_F(LeaseClockTest, AnotherAttemptIsAnotherLease) {
  const LeaseKey next{kFirstLease.shard, Attempt{2}};
  ASSERT_TRUE(clock_.Add(kFirstLease, Send(), now_));
  EXPECT_FALSE(clock_.MaySend(next, now_));
  clock_.Extend(next, Send(), now_);
  EXPECT_FALSE(clock_.MaySend(next, now_));
}

TEST_F(LeaseClockTest, AnswersOfAnEarlierStreamMeanNothingOnTheNext) {
  for (int i = 0; i < 5; ++i) Send();
  ASSERT_TRUE(clock_.Add(kFirstLease, 5, now_));
  now_ += 20s;
  clock_.BeginStream();
  clock_.Extend(kFirstLease, 5, now_);
  EXPECT_EQ(clock_.End(kFirstLease), now_ - 20s + kFence)
      << "message 5 of this stream was not sent";
  const auto hello = Send();
  clock_.Extend(kFirstLease, hello, now_);
  EXPECT_EQ(clock_.End(kFirstLease), now_ + kFence);
}

TEST_F(LeaseClockTest, RemembersABoundedNumberOfMessages) {
  const auto first = Send();
  for (std::uint64_t i = 1; i < LeaseClock::kRemembered; ++i) Send();
  EXPECT_TRUE(clock_.SentAt(first).has_value());
  Send();
  EXPECT_FALSE(clock_.SentAt(first).has_value()) << "forgotten, so it can extend nothing";
  EXPECT_TRUE(clock_.SentAt(first + 1).has_value());
}

TEST_F(LeaseClockTest, ExpiryNamesEachLeaseOnce) {
  ASSERT_TRUE(clock_.Add(kFirstLease, Send(), now_));
  now_ += 1s;
  ASSERT_TRUE(clock_.Add(kSecondLease, Send(), now_));
  EXPECT_THAT(clock_.Expire(now_), IsEmpty());
  now_ += 49s;
  EXPECT_THAT(clock_.Expire(now_), ElementsAre(kFirstLease));
  EXPECT_THAT(clock_.Expire(now_), IsEmpty());
  now_ += 1s;
  EXPECT_THAT(clock_.Expire(now_), ElementsAre(kSecondLease));
}

TEST_F(LeaseClockTest, AShorterFenceCountsFromTheNextAnswer) {
  ASSERT_TRUE(clock_.Add(kFirstLease, Send(), now_));
  clock_.SetFence(10s);
  ASSERT_TRUE(clock_.Add(kSecondLease, Send(), now_));
  now_ += 10s;
  EXPECT_TRUE(clock_.MaySend(kFirstLease, now_));
  EXPECT_FALSE(clock_.MaySend(kSecondLease, now_));
}

// A coordinator that gives a lease away `ttl` after the receipt of the last report that it
// accepted, and a network that delays, repeats, reorders and loses: whenever the worker may send,
// the coordinator still counts the lease as its.
TEST(LeaseClockProperty, TheWorkerNeverBelievesLongerThanTheCoordinator) {
  EXPECT_TRUE(rc::check("random delays in both directions", [] {
    constexpr Duration kTtl = kFence;  // the sharpest case: no margin at all
    LeaseClock clock(kFence);
    Time now{1h};
    std::deque<std::uint64_t> reports;  // on their way to the coordinator
    std::vector<std::uint64_t>
        answers;  // that may reach the worker at any time, any number of times
    const auto hello = clock.OnSend(now);
    Time theirs = now + kTtl;  // until then the coordinator gives the shard to nobody else
    bool held = clock.Add(kFirstLease, hello, now);
    const int steps = *rc::gen::inRange(10, 200);
    for (int i = 0; i < steps; ++i) {
      now += std::chrono::milliseconds(*rc::gen::inRange(0, 20'000));
      switch (*rc::gen::inRange(0, 5)) {
        case 0:
          reports.push_back(clock.OnSend(now));
          break;
        case 1:
          if (reports.empty()) break;
          if (now < theirs) {  // accepted on receipt
            theirs = now + kTtl;
            answers.push_back(reports.front());
          }
          reports.pop_front();
          break;
        case 2:
          if (!reports.empty()) reports.pop_front();  // lost
          break;
        case 3:
          if (!answers.empty()) clock.Extend(kFirstLease, *rc::gen::elementOf(answers), now);
          break;
        default:
          clock.Expire(now);
          break;
      }
      if (held && clock.MaySend(kFirstLease, now)) RC_ASSERT(now < theirs);
    }
  }));
}

}  // namespace
}  // namespace backfill::worker
