#include "operator/observe/poll_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <rapidcheck.h>
#include <optional>
#include <set>
#include <vector>

namespace backfill::observe {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class PollScheduleTest : public testing::Test {
 protected:
  std::vector<PollSchedule::Id> AllDue() {
    std::vector<PollSchedule::Id> ids;
    while (const auto id = schedule_.Next(now_)) ids.push_back(*id);
    return ids;
  }
  void Answered(PollSchedule::Id id, double chance = 0.5) {
    schedule_.Done(id, false, now_, chance);
  }
  void Failed(PollSchedule::Id id, double chance = 0.999999) {
    schedule_.Done(id, true, now_, chance);
  }
  // How long until it is due, and moves there.
  Duration UntilDue() {
    const auto due = schedule_.NextDue();
    if (!due) return Duration::max();
    const Duration wait = *due - now_;
    now_ = std::max(now_, *due);
    return wait;
  }

  PollOptions options_{.max_in_flight = 4, .max_per_provider = 2};
  PollSchedule schedule_{options_};
  Time now_{1h};
};

TEST_F(PollScheduleTest, WhatIsNewIsAskedAtOnceAndThenAtItsInterval) {
  schedule_.Add(1, "p", 10s, now_);
  EXPECT_THAT(AllDue(), ElementsAre(1));
  now_ += 200ms;
  Answered(1);
  EXPECT_EQ(UntilDue(), 9800ms) << "counted from the question, not from the answer";
  EXPECT_THAT(AllDue(), ElementsAre(1));
}

TEST_F(PollScheduleTest, IntervalsAreJittered) {
  schedule_.Add(1, "p", 10s, now_);
  AllDue(), Answered(1, 0);
  EXPECT_EQ(UntilDue(), 9s);
  AllDue(), Answered(1, 0.75);
  EXPECT_EQ(UntilDue(), 10500ms);
}

TEST_F(PollScheduleTest, AFailingProviderIsAskedAfterOneSecondDoublingToThirty) {
  schedule_.Add(1, "p", 10s, now_);
  std::vector<int> waits;
  for (int i = 0; i < 8; ++i) {
    AllDue(), Failed(1);
    waits.push_back(static_cast<int>(std::chrono::round<std::chrono::seconds>(UntilDue()).count()));
  }
  EXPECT_THAT(waits, ElementsAre(1, 2, 4, 8, 16, 30, 30, 30));
  AllDue(), Answered(1);
  EXPECT_EQ(UntilDue(), 10s);
  AllDue(), Failed(1);
  EXPECT_LE(UntilDue(), 1s) << "a success forgets the failures before";
}

TEST_F(PollScheduleTest, BackOffHasFullJitterButIsNoBusyLoop) {
  schedule_.Add(1, "p", 10s, now_);
  for (int i = 0; i < 5; ++i) AllDue(), Failed(1), UntilDue();
  AllDue(), Failed(1, 0.5);
  EXPECT_EQ(UntilDue(), 15s);
  AllDue(), Failed(1, 0);
  EXPECT_EQ(UntilDue(), 100ms);
}

TEST_F(PollScheduleTest, AProviderThatHangsHoldsOnePlace) {
  for (PollSchedule::Id id = 1; id <= 3; ++id) schedule_.Add(id, "hangs", 10s, now_);
  for (PollSchedule::Id id = 11; id <= 13; ++id) schedule_.Add(id, "works", 10s, now_);
  EXPECT_THAT(AllDue(), ElementsAre(1, 2, 11, 12)) << "two of each";
  Failed(1), Failed(2);
  EXPECT_THAT(AllDue(), ElementsAre(3)) << "now one alone of it";
  Answered(11), Answered(12);
  EXPECT_THAT(AllDue(), ElementsAre(13));
  Answered(13);
  now_ += 20s;
  EXPECT_THAT(AllDue(), ElementsAre(11, 12)) << "3 still hangs, 1 and 2 have to wait for it";
  Answered(11);
  EXPECT_THAT(AllDue(), ElementsAre(13));
}

TEST_F(PollScheduleTest, TheFirstSuccessBringsTheOthersForward) {
  for (PollSchedule::Id id = 1; id <= 3; ++id) schedule_.Add(id, "p", 60s, now_);
  for (int round = 0; round < 40; ++round) {
    for (const auto id : AllDue()) Failed(id);
    UntilDue();
  }
  const auto first = AllDue();
  ASSERT_EQ(first.size(), 1U);
  Answered(first.front());
  now_ += 1s;
  EXPECT_EQ(AllDue().size(), 2U);
}

TEST_F(PollScheduleTest, ABadQuestionDoesNotSlowDownItsProvider) {
  schedule_.Add(1, "p", 10s, now_);
  schedule_.Add(2, "p", 10s, now_);
  AllDue(), Answered(1), Failed(2);
  now_ += 500ms;
  EXPECT_THAT(AllDue(), IsEmpty());
  now_ += 500ms;
  EXPECT_THAT(AllDue(), ElementsAre(2));
}

TEST_F(PollScheduleTest, WhatIsRemovedIsNotAskedAgain) {
  schedule_.Add(1, "p", 10s, now_);
  schedule_.Add(2, "p", 10s, now_);
  EXPECT_THAT(AllDue(), ElementsAre(1, 2));
  schedule_.Remove(1);
  EXPECT_EQ(schedule_.in_flight(), 2) << "it is still being asked";
  Answered(1), Answered(2);
  schedule_.Remove(2);
  EXPECT_EQ(schedule_.in_flight(), 0);
  EXPECT_EQ(schedule_.questions(), 0U);
  EXPECT_EQ(schedule_.NextDue(), std::nullopt);
  now_ += 1h;
  EXPECT_THAT(AllDue(), IsEmpty());
}

TEST_F(PollScheduleTest, AShorterIntervalHoldsFromNowOn) {
  schedule_.Add(1, "p", 60s, now_);
  AllDue(), Answered(1);
  now_ += 20s;
  schedule_.SetInterval(1, 10s, now_);
  EXPECT_EQ(UntilDue(), 0s);
  AllDue(), Answered(1);
  schedule_.SetInterval(1, 60s, now_);
  EXPECT_EQ(UntilDue(), 10s) << "a longer one from the next time on";
  AllDue(), Answered(1);
  EXPECT_EQ(UntilDue(), 60s);
}

TEST_F(PollScheduleTest, AShorterIntervalDoesNotEndABackOff) {
  schedule_.Add(1, "p", 60s, now_);
  for (int i = 0; i < 6; ++i) AllDue(), Failed(1), UntilDue();
  AllDue(), Failed(1);
  schedule_.SetInterval(1, 1s, now_);
  EXPECT_GT(UntilDue(), 25s);
}

// Whatever happens: bounds hold, nothing is asked twice at a time, nothing is forgotten.
TEST(PollSchedulePropertyTest, EveryQuestionIsAskedAgainAndBoundsHold) {
  rc::check([] {
    const PollOptions options{.max_in_flight = *rc::gen::inRange(1, 5), .max_per_provider = 2};
    PollSchedule schedule(options);
    Time now{1h};
    std::map<PollSchedule::Id, std::string> known;
    std::map<PollSchedule::Id, std::string> flying;
    std::map<PollSchedule::Id, Time> asked;
    PollSchedule::Id last = 0;
    const int steps = *rc::gen::inRange(10, 60);
    for (int i = 0; i < steps; ++i) {
      switch (*rc::gen::inRange(0, 6)) {
        case 0: {
          const std::string provider(1, static_cast<char>('a' + *rc::gen::inRange(0, 3)));
          schedule.Add(++last, provider, std::chrono::seconds(*rc::gen::inRange(1, 60)), now);
          known[last] = provider;
          asked[last] = now;
          break;
        }
        case 1:
          if (!known.empty() && *rc::gen::inRange(0, 4) == 0) {
            schedule.Remove(known.begin()->first);
            known.erase(known.begin());
          }
          break;
        case 2:
        case 3:
          if (!flying.empty()) {
            const auto it =
                std::next(flying.begin(), *rc::gen::inRange<std::ptrdiff_t>(0, std::ssize(flying)));
            schedule.Done(it->first, *rc::gen::inRange(0, 2) == 0, now,
                          *rc::gen::inRange(0, 1000) / 1000.0);
            flying.erase(it);
          }
          break;
        default:
          now += std::chrono::milliseconds(*rc::gen::inRange(0, 20'000));
      }
      while (const auto id = schedule.Next(now)) {
        RC_ASSERT(!flying.contains(*id));
        RC_ASSERT(known.contains(*id));
        flying[*id] = known[*id];
        asked[*id] = now;
      }
      RC_ASSERT(schedule.in_flight() == static_cast<int>(flying.size()));
      RC_ASSERT(schedule.in_flight() <= options.max_in_flight);
      std::map<std::string, int> per_provider;
      for (const auto& [id, provider] : flying)
        RC_ASSERT(++per_provider[provider] <= options.max_per_provider);
      const auto due = schedule.NextDue();
      RC_ASSERT((!due || *due > now));
    }
    // All answer from here on: within two minutes each has been asked again.
    for (const auto& [id, provider] : flying) schedule.Done(id, false, now, 0.5);
    const Time begin = now;
    std::set<PollSchedule::Id> seen;
    while (now < begin + 2min) {
      while (const auto id = schedule.Next(now)) {
        seen.insert(*id);
        schedule.Done(*id, false, now, 0.5);
      }
      now += 250ms;
    }
    for (const auto& [id, provider] : known) RC_ASSERT(seen.contains(id));
  });
}

}  // namespace
}  // namespace backfill::observe
