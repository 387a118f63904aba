#include "operator/throttle/group_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace backfill::throttle {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

constexpr Duration kTtl = 50s;

std::vector<double> Filled(double rate, std::vector<Share> shares) {
  FillByWeight(rate, shares);
  std::vector<double> gets;
  for (const Share& share : shares) gets.push_back(share.gets);
  return gets;
}
auto Near(double value) { return DoubleNear(value, 1e-3); }

TEST(FillByWeightTest, EachGetsByItsWeight) {
  EXPECT_THAT(Filled(400, {{.weight = 1, .most = 1e9}, {.weight = 3, .most = 1e9}}),
              ElementsAre(Near(100), Near(300)));
}

TEST(FillByWeightTest, WhatOneCannotUseGoesToTheOthers) {
  EXPECT_THAT(Filled(400, {{.weight = 2, .most = 50}, {.weight = 1, .most = 1e9}, {.most = 1e9}}),
              ElementsAre(Near(50), Near(175), Near(175)));
}

TEST(FillByWeightTest, NobodyGetsMoreThanItsMost) {
  EXPECT_THAT(Filled(400, {{.most = 10}, {.most = 0}, {.most = 20}}), ElementsAre(10, 0, 20));
  EXPECT_THAT(Filled(0, {{.most = 10}}), ElementsAre(0));
  EXPECT_THAT(Filled(400, {}), ElementsAre());
}

// A group whose members do at once what they are allowed, or as levers say.
class GroupShareTest : public testing::Test {
 protected:
  struct Sim {
    GroupMember member;
    bool obeys = true;  // else it goes on with what it has
    double has = 0;     // what its workers have
  };
  GroupMember& Add(const std::string& name, double limit = 1000, double weight = 1) {
    Sim& sim = sims_[name];
    sim.member = {.weight = weight, .limit = limit, .open = true, .waits = true};
    return sim.member;
  }
  void Leave(const std::string& name) {
    share_.Leave(name, now_);
    sims_.erase(name);
  }
  double Step(const std::string& name) {
    Sim& sim = sims_.at(name);
    sim.member.in_force = std::max(sim.has, sim.member.open ? allowed_[name] : 0);
    share_.Update(name, sim.member, now_);
    allowed_[name] = share_.Allow(name, now_);
    if (sim.obeys) sim.has = sim.member.open ? allowed_[name] : 0;
    return allowed_[name];
  }
  // So many rounds of a second, in which each takes its step.
  void Rounds(int n) {
    for (int i = 0; i < n; ++i) {
      now_ += 1s;
      for (const auto& [name, sim] : sims_) Step(name);
      EXPECT_LE(Has(), std::max(rate_, had_) * (1 + 1e-9)) << "more than the rate";
      had_ = Has();
    }
  }
  void SetRate(double rate) {
    rate_ = rate;
    share_.SetRate(rate);
  }
  double Has() const {
    return std::accumulate(sims_.begin(), sims_.end(), 0.0,
                           [](double sum, const auto& s) { return sum + s.second.has; });
  }

  GroupShare share_{kTtl};
  std::map<std::string, Sim> sims_;
  std::map<std::string, double> allowed_;
  Time now_{1h};
  double rate_ = 0, had_ = 0;
};

TEST_F(GroupShareTest, OneAloneHasItAll) {
  SetRate(200);
  Add("a");
  Rounds(1);
  EXPECT_NEAR(allowed_["a"], 200, 1e-3);
}

TEST_F(GroupShareTest, OneThatJoinsGetsItsPartFromWhatTheOthersHaveLost) {
  SetRate(200);
  Add("a");
  Rounds(1);
  Add("b");
  now_ += 1s;
  EXPECT_NEAR(Step("b"), 0, 1e-3) << "nobody has given anything back yet";
  EXPECT_NEAR(Step("a"), 100, 1e-3);
  EXPECT_NEAR(Step("b"), 0, 1e-3) << "a has not been seen with less";
  Rounds(2);
  EXPECT_NEAR(allowed_["a"], 100, 1e-3);
  EXPECT_NEAR(allowed_["b"], 100, 1e-3);
}

TEST_F(GroupShareTest, WhatOneDoesNotGiveBackNobodyElseGets) {
  SetRate(200);
  Add("a");
  Rounds(1);
  sims_["a"].obeys = false;
  Add("b");
  Rounds(30);
  EXPECT_NEAR(allowed_["a"], 100, 1e-3);
  EXPECT_NEAR(allowed_["b"], 0, 1e-3);
  sims_["a"].obeys = true;
  Rounds(2);
  EXPECT_NEAR(allowed_["b"], 100, 1e-3);
}

TEST_F(GroupShareTest, WeightsCountAndLimitsHold) {
  SetRate(300);
  Add("a", 1000, 1);
  Add("b", 1000, 4);
  Add("c", 50, 100);
  Rounds(5);
  EXPECT_NEAR(allowed_["c"], 50, 1e-3);
  EXPECT_NEAR(allowed_["a"], 50, 1e-3);
  EXPECT_NEAR(allowed_["b"], 200, 1e-3);
}

TEST_F(GroupShareTest, ACutLowersEachByItsPartAndNobodyToZero) {
  SetRate(200);
  Add("a");
  Add("b");
  Rounds(4);
  SetRate(80);
  now_ += 1s;
  EXPECT_NEAR(Step("a"), 40, 1e-3);
  EXPECT_NEAR(Step("b"), 40, 1e-3);
}

TEST_F(GroupShareTest, OneThatLeavesGivesItsPartBackWhenItsGrantsHaveEnded) {
  SetRate(200);
  Add("a");
  Add("b");
  Rounds(4);
  Leave("b");
  Rounds(49);
  EXPECT_NEAR(allowed_["a"], 100, 1e-3) << "workers of b may still send";
  Rounds(3);
  EXPECT_NEAR(allowed_["a"], 200, 1e-3);
}

TEST_F(GroupShareTest, OneThatIsPausedGivesItsPartBackAtOnce) {
  SetRate(200);
  Add("a");
  GroupMember& b = Add("b");
  Rounds(4);
  b.limit = 0;
  Rounds(3);
  EXPECT_NEAR(allowed_["a"], 200, 1e-3);
  EXPECT_EQ(allowed_["b"], 0);
  b.limit = 1000;
  Rounds(3);
  EXPECT_NEAR(allowed_["b"], 100, 1e-3);
}

TEST_F(GroupShareTest, WhatOneDoesNotUseGoesToTheOthersAndComesBackWhenItIsWanted) {
  SetRate(200);
  Add("a");
  GroupMember& b = Add("b");
  Rounds(4);
  b.waits = false;
  b.sent = 10;
  Rounds(10);
  EXPECT_NEAR(allowed_["b"], 100, 1e-3) << "a moment of quiet changes nothing";
  Rounds(20);
  EXPECT_NEAR(allowed_["b"], 12, 0.1);
  EXPECT_NEAR(allowed_["a"], 188, 0.1);
  b.waits = true;
  Rounds(3);
  EXPECT_NEAR(allowed_["b"], 100, 1e-3);
}

TEST_F(GroupShareTest, SmallChangesOfWhatOneSendsMoveNobody) {
  SetRate(200);
  Add("a");
  GroupMember& b = Add("b");
  b.waits = false;
  b.sent = 50;
  Rounds(30);
  const double before = allowed_["a"];
  b.sent = 45;
  Rounds(5);
  EXPECT_EQ(allowed_["a"], before);
}

TEST_F(GroupShareTest, WhoWantsNothingIsLeftATasteOfIt) {
  SetRate(200);
  Add("a");
  Add("b").waits = false;
  Rounds(30);
  EXPECT_GT(allowed_["b"], 1);
  EXPECT_LT(allowed_["b"], 5);
}

TEST_F(GroupShareTest, WhoIsNotOpenGetsNothing) {
  SetRate(200);
  Add("a").open = false;
  Rounds(3);
  EXPECT_EQ(allowed_["a"], 0);
  sims_["a"].member.open = true;
  Rounds(1);
  EXPECT_NEAR(allowed_["a"], 200, 1e-3);
}

TEST_F(GroupShareTest, WhatAStageHadCountsAfterItIsClosedUntilGrantsEnd) {
  SetRate(200);
  Add("a");
  Add("b");
  Rounds(4);
  sims_["b"].member.open = false;
  Rounds(40);
  EXPECT_NEAR(allowed_["a"], 100, 1e-3);
  Rounds(13);
  EXPECT_NEAR(allowed_["a"], 200, 1e-3);
}

// A restart of one must not raise the sum: what it had before it was closed is still counted when
// it is back.
TEST_F(GroupShareTest, AStageThatIsOpenedAgainDoesNotGetItsPartTwice) {
  SetRate(200);
  Add("a");
  Add("b");
  Rounds(4);
  sims_["b"].member.open = false;
  Rounds(1);
  sims_["b"].member.open = true;
  Rounds(5);
  EXPECT_LE(share_.InForce(now_), 200 + 1e-6);
  EXPECT_NEAR(allowed_["b"], 100, 1e-3);
}

// It does not answer: whatever it was allowed since it did counts.
TEST_F(GroupShareTest, WhatCannotBeSeenCountsAsTheMostThatItWasAllowed) {
  SetRate(100);
  GroupMember& b = Add("b");
  b.limit = 100;
  Rounds(2);
  b.seen = false;
  b.in_force = 20;
  share_.Update("b", b, now_);
  SetRate(20);
  EXPECT_NEAR(share_.Allow("b", now_), 20, 1e-3);
  EXPECT_NEAR(share_.InForce(now_), 100, 1e-3);
  share_.Update("b", b, now_);
  EXPECT_NEAR(share_.InForce(now_), 100, 1e-3);
  b.seen = true;
  share_.Update("b", b, now_);
  EXPECT_NEAR(share_.InForce(now_), 20, 1e-3);
}

TEST_F(GroupShareTest, OneThatJoinsWithARateOfItsOwnDoesNotGetMoreAndOthersMakeRoom) {
  SetRate(200);
  Add("a");
  Rounds(2);
  Add("b").in_force = 150;
  sims_["b"].has = 150;
  had_ = 350;
  now_ += 1s;
  EXPECT_LE(Step("b"), 100 + 1e-3);
  Rounds(3);
  EXPECT_LE(Has(), 200 + 1e-6);
  EXPECT_NEAR(allowed_["a"], 100, 1e-3);
}

TEST_F(GroupShareTest, AfterATakeoverNobodyGetsMoreThanItsWorkersSay) {
  SetRate(200);
  share_.LearnUntil(now_ + 50s);
  Add("a").reported = 70;
  Add("b").reported = 0;
  Add("c");
  sims_["a"].has = 70;
  had_ = 70;
  Rounds(20);
  EXPECT_NEAR(allowed_["a"], 70, 1e-3);
  EXPECT_EQ(allowed_["b"], 0);
  EXPECT_EQ(allowed_["c"], 0);
  EXPECT_NEAR(share_.Reported(), 70, 1e-3);
  sims_["a"].member.reported.reset();  // its own stage has learnt enough; another may have not
  Rounds(20);
  EXPECT_NEAR(allowed_["a"], 70, 1e-3);
  Rounds(15);
  EXPECT_NEAR(allowed_["a"], 200.0 / 3, 1e-3);
  EXPECT_NEAR(allowed_["c"], 200.0 / 3, 1e-3);
}

TEST_F(GroupShareTest, WhatWasReportedIsLoweredWithTheRate) {
  SetRate(50);
  share_.LearnUntil(now_ + 50s);
  Add("a").reported = 80;
  Add("b").reported = 20;
  sims_["a"].has = 80;
  sims_["b"].has = 20;
  had_ = 100;
  Rounds(2);
  EXPECT_NEAR(allowed_["a"], 40, 1e-3);
  EXPECT_NEAR(allowed_["b"], 10, 1e-3);
}

TEST_F(GroupShareTest, IsEmptyOnceNobodyIsThereAndNothingIsInForce) {
  EXPECT_TRUE(share_.Empty(now_));
  SetRate(10);
  Add("a");
  Rounds(1);
  EXPECT_FALSE(share_.Empty(now_));
  Leave("a");
  EXPECT_EQ(share_.members(), 0U);
  EXPECT_FALSE(share_.Empty(now_));
  EXPECT_TRUE(share_.Empty(now_ + kTtl));
  EXPECT_EQ(share_.Allow("a", now_), 0);
}

TEST_F(GroupShareTest, AnyNumberIsTaken) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  SetRate(100);
  for (const double weird : {nan, inf, -inf, -1.0, 0.0, 1e300}) {
    share_.Update("a", {.weight = weird, .limit = 100, .open = true, .sent = weird, .waits = true},
                  now_);
    share_.Update("b", {.limit = weird, .open = true, .in_force = weird, .reported = weird}, now_);
    for (const char* name : {"a", "b"}) {
      const double allowed = share_.Allow(name, now_);
      EXPECT_GE(allowed, 0) << weird;
      EXPECT_LE(allowed, 100) << weird;
    }
  }
}

// Random histories: members come, go, pause, close, want more or less; what they have to give up
// they give up late; the rate goes up and down.
class GroupHistoryTest : public testing::TestWithParam<unsigned> {
 protected:
  struct Sim {
    GroupMember member;
    bool here = false;
    double has = 0;
    double allowed = 0;
    int late = 0;  // rounds until it has obeyed
    Time ends{};   // of what it has, once it is not a member or not open
  };

  double Uniform(double from, double to) {
    return std::uniform_real_distribution<double>(from, to)(random_);
  }
  bool OneIn(int n) { return random_() % static_cast<unsigned>(n) == 0; }

  void Change(Sim& sim, const std::string& name) {
    const bool served = sim.here && sim.member.open;
    if (!served && now_ >= sim.ends) sim.has = 0;
    if (OneIn(40)) {
      if (sim.here) share_.Leave(name, now_);
      sim.here = !sim.here;
      sim.member.open = sim.here && OneIn(2);
      sim.allowed = 0;
    } else if (sim.here && OneIn(40)) {
      sim.member.open = !sim.member.open;
      sim.allowed = 0;
    }
    if (served && !(sim.here && sim.member.open)) sim.ends = now_ + kTtl;
    if (!sim.here) return;
    if (OneIn(30)) sim.member.limit = OneIn(3) ? 0 : Uniform(1, 500);
    if (OneIn(30)) sim.member.waits = !sim.member.waits;
    if (OneIn(50)) sim.member.weight = 1 + static_cast<double>(random_() % 5);
    sim.member.sent = Uniform(0, sim.has);
  }
  void Live(Sim& sim) {
    const bool serves = sim.here && sim.member.open;
    if (!serves) {
      if (now_ >= sim.ends) sim.has = 0;
      return;
    }
    if (sim.allowed >= sim.has) {
      sim.has = sim.allowed;
    } else if (--sim.late <= 0) {
      sim.has = sim.allowed;
      sim.late = static_cast<int>(random_() % 10);
    }
  }
  double Has() const {
    double sum = 0;
    for (const auto& [name, sim] : sims_) {
      const bool serves = sim.here && sim.member.open;
      sum += serves || now_ < sim.ends ? sim.has : 0;
    }
    return sum;
  }

  std::mt19937 random_{GetParam()};
  GroupShare share_{kTtl};
  std::map<std::string, Sim> sims_;
  Time now_{1h};
};

TEST_P(GroupHistoryTest, TogetherTheyNeverHaveMoreThanTheRateOrThanBefore) {
  for (const char* name : {"a", "b", "c", "d", "e"}) sims_[name].member.weight = 1;
  double rate = 100, had = 0, gave = 0;
  for (int round = 0; round < 2000; ++round) {
    now_ += 1s;
    if (OneIn(20)) rate = OneIn(10) ? 0 : Uniform(0, 400);
    share_.SetRate(rate);
    for (auto& [name, sim] : sims_) {
      Change(sim, name);
      if (sim.here) {
        sim.member.in_force = std::max(sim.has, sim.allowed);
        share_.Update(name, sim.member, now_);
        sim.allowed = share_.Allow(name, now_);
        ASSERT_LE(sim.allowed, std::max(sim.member.limit, 0.0) + 1e-9);
      }
      Live(sim);
      ASSERT_LE(Has(), std::max(rate, had) * (1 + 1e-9)) << "round " << round << ", " << name;
      ASSERT_LE(Has(), share_.InForce(now_) * (1 + 1e-9) + 1e-9) << "round " << round;
      had = Has();
    }
    gave += had;
  }
  EXPECT_GT(gave, 10'000) << "to give nothing to anybody would be easy";
}

TEST_P(GroupHistoryTest, WhoeverWantsItEndsWithItsPart) {
  const int members = 2 + static_cast<int>(random_() % 4);
  double weights = 0;
  for (int i = 0; i < members; ++i) {
    Sim& sim = sims_[std::to_string(i)];
    sim.here = true;
    sim.member = {.weight = 1 + static_cast<double>(random_() % 5),
                  .limit = 1000,
                  .open = true,
                  .waits = true};
    weights += sim.member.weight;
  }
  share_.SetRate(300);
  for (int round = 0; round < 60; ++round) {
    now_ += 1s;
    for (auto& [name, sim] : sims_) {
      sim.member.in_force = std::max(sim.has, sim.allowed);
      share_.Update(name, sim.member, now_);
      sim.allowed = share_.Allow(name, now_);
      Live(sim);
    }
  }
  for (const auto& [name, sim] : sims_)
    EXPECT_NEAR(sim.has, 300 * sim.member.weight / weights, 0.5) << name;
}

INSTANTIATE_TEST_SUITE_P(Seeds, GroupHistoryTest, testing::Range(1U, 21U));

}  // namespace
}  // namespace backfill::throttle
