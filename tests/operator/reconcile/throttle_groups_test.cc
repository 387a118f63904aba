// Backfills of one group, each with the Throttling that its reconciler has.
#include "operator/reconcile/throttle_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "operator/decision_log/replay.h"
#include "operator/reconcile/throttling.h"
#include "tests/operator/reconcile/lines_in_memory.h"

namespace backfill::reconcile {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::HasSubstr;

// Members of shop/orders-db, and a target whose metric says what the test says. Whatever a member
// may send it sends.
class ThrottleGroupsTest : public testing::Test {
 protected:
  struct Member {
    api::Backfill b;
    StageSnapshot open;
    bool closed = false;
    bool stuck = false;  // its workers go on with what they have
    bool measured = false;
    Throttling throttling;
    ThrottleView view;
    std::vector<throttle::Observation> observations;
  };

  Member& Add(const std::string& name, std::int64_t most = 500, int weight = 1) {
    Member& m = members_[name];
    m.b.ns = "shop";
    m.b.name = name;
    m.b.uid = "uid-" + name;
    // Made one after the other.
    m.b.creation_time = "2026-11-28T12:00:0" + std::to_string(members_.size()) + "Z";
    m.b.spec.dry_run = false;
    m.b.spec.throttle.max_records_per_second = most;
    m.b.spec.throttle.group = api::ThrottleGroup{"orders-db", weight};
    m.open.totals.counts.updated = 1;
    m.open.records_wait = true;
    return m;
  }
  static void AddBudget(Member& m, const std::string& max = "100",
                        const std::string& name = "queue",
                        const std::string& url = "http://orders/") {
    api::Budget& budget = m.b.spec.throttle.budgets.emplace_back();
    budget.name = name;
    budget.max = max;
    budget.http = api::HttpMetric{.url = url, .pointer = {}, .credentials = {}};
  }
  Member& Of(const std::string& name) { return members_.at(name); }

  Result<ThrottleView> TryStep(const std::string& name) {
    Member& m = Of(name);
    m.observations.assign(m.b.spec.throttle.budgets.size(),
                          {throttle::Answer::kValue, metric_, sampled_, ""});
    m.open.attempts_per_second = m.closed ? 0 : m.open.granted;
    auto view = m.throttling.Step(
        {.backfill = m.b,
         .open = m.closed ? nullptr : &m.open,
         .begun = true,
         .paused = m.b.spec.paused,
         .observations = m.observations,
         .log = &log_,
         .groups = &groups_,
         .look_now = [this](const std::string& ns,
                            const std::string& of) { looked_at_.push_back(ns + "/" + of); }},
        now_, wall_);
    // As the reconciler configures the stage.
    m.open.allowed = m.closed || !view.ok() ? 0 : view->rate;
    if (!m.stuck) m.open.granted = m.open.allowed;
    return view;
  }
  ThrottleView Step(const std::string& name) {
    auto view = TryStep(name);
    EXPECT_TRUE(view.ok()) << view.error().message;
    if (view.ok()) Of(name).view = *view;
    return Of(name).view;
  }
  // Each takes its steps, a second apart; the metric has a new value every 10 s.
  void For(Duration time) {
    for (Duration passed{}; passed < time; passed += 1s) {
      now_ += 1s;
      wall_ += 1s;
      if (passed % 10s == Duration::zero()) sampled_ = now_;
      for (auto& [name, m] : members_) {
        Step(name);
        most_granted_ = std::max(most_granted_, Granted());
      }
    }
  }
  double Granted() const {
    double sum = 0;
    for (const auto& [name, m] : members_) sum += m.closed ? 0 : m.open.granted;
    return sum;
  }
  double RateOf(const std::string& name) { return Of(name).view.rate; }
  // The rate of the group, as every status has it.
  double GroupRate() { return members_.begin()->second.view.status->rate.value(); }
  // Another operator: what is in memory is gone, what stands in the statuses is not.
  void TakeOver() {
    groups_.Reset();
    groups_.Begin(now_);
    for (auto& [name, m] : members_) {
      m.b.status.throttle = m.view.status;
      m.throttling = Throttling();
      m.open.allowed = m.open.granted = 0;
    }
  }

  ThrottleGroups groups_{throttle::kMostGrantTtl};
  LinesInMemory log_;
  std::map<std::string, Member> members_;
  double metric_ = 50;  // the budget is 100
  Time now_{1000h};
  Time sampled_ = now_;
  WallTime wall_ = ParseWallTime("2026-11-28T12:00:00Z").value();
  double most_granted_ = 0;
  std::vector<std::string> looked_at_;

  // The operator has led for long when the test begins.
  void SetUp() override { groups_.Begin(now_ - 1h); }
};

TEST_F(ThrottleGroupsTest, OneAloneIsAsIfThereWereNoGroup) {
  AddBudget(Add("a"));
  For(10min);
  Member& alone = Add("z");
  alone.b.spec.throttle.group.reset();
  AddBudget(alone);
  const double in_group = RateOf("a");
  members_.erase("a");
  For(10min);
  EXPECT_NEAR(in_group, RateOf("z"), 0.1 * RateOf("z"));
  EXPECT_GT(in_group, 20);
}

TEST_F(ThrottleGroupsTest, OneRateIsSharedByWeight) {
  AddBudget(Add("a", 500, 1));
  AddBudget(Add("b", 500, 3));
  For(10min);
  EXPECT_NEAR(RateOf("a") * 3, RateOf("b"), 0.01 * RateOf("b"));
  EXPECT_NEAR(RateOf("a") + RateOf("b"), GroupRate(), 0.01 * GroupRate());
  EXPECT_EQ(Of("a").view.status->rate, Of("b").view.status->rate) << "both can be gone on from";
}

TEST_F(ThrottleGroupsTest, WithoutBudgetsEachHasItsMaximum) {
  Add("a", 30);
  Add("b", 200);
  For(5s);
  EXPECT_NEAR(RateOf("a"), 30, 1e-3);
  EXPECT_NEAR(RateOf("b"), 200, 1e-3);
  EXPECT_EQ(Of("a").view.limited_by, "Max");
}

TEST_F(ThrottleGroupsTest, ABudgetOfOneHoldsForAll) {
  AddBudget(Add("a"));
  Add("b");  // has none
  For(10min);
  EXPECT_LT(RateOf("b"), 500);
  metric_ = 130;
  For(30s);
  EXPECT_EQ(Of("b").view.throttled, "BudgetExceeded");
  EXPECT_THAT(Of("b").view.message, HasSubstr("queue 130 over 100 (group orders-db)"));
  EXPECT_EQ(Of("b").view.status->binding_budget, "queue");
  EXPECT_EQ(Of("b").view.limited_by, "Budget");
  EXPECT_THAT(Of("b").view.status->reason, HasSubstr("group orders-db, shared with 1 other"));
}

TEST_F(ThrottleGroupsTest, TheStrictestOfTwoBoundsBinds) {
  AddBudget(Add("a"), "100");
  AddBudget(Add("b"), "40");
  For(1min);
  EXPECT_EQ(Of("a").view.status->binding_budget, "queue-2");
  EXPECT_EQ(Of("a").view.status->budgets.size(), 2U);
  EXPECT_EQ(Of("a").view.throttled, "BudgetExceeded") << "50 is over 40";
}

TEST_F(ThrottleGroupsTest, TogetherTheyNeverHaveMoreThanTheRateOfTheGroup) {
  AddBudget(Add("a"));
  For(5min);
  AddBudget(Add("b"));
  AddBudget(Add("c", 20));
  for (int i = 0; i < 30; ++i) {
    metric_ = i % 5 == 4 ? 115 : 60;
    const double before = Granted();
    most_granted_ = 0;
    const double rate_before = GroupRate();
    For(10s);
    EXPECT_LE(most_granted_, std::max({rate_before, GroupRate(), before}) * 1.15)
        << "the rate itself may rise within 10 s";
    EXPECT_LE(Granted(), GroupRate() * (1 + 1e-9));
  }
}

TEST_F(ThrottleGroupsTest, ACutReachesAllWithinAStepOfEach) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(10min);
  const double before = GroupRate();
  metric_ = 140;
  now_ += 1s;
  sampled_ = now_;  // a new sample, in the middle of a tick
  Step("b");
  Step("a");
  EXPECT_LT(RateOf("a") + RateOf("b"), 0.9 * before);
}

TEST_F(ThrottleGroupsTest, OnesThatSendAreLookedAtNowWhenTheRateWasLowered) {
  AddBudget(Add("a"));
  Add("b");
  Add("c").closed = true;
  For(10min);
  EXPECT_THAT(looked_at_, testing::IsEmpty()) << "to get more there is time";
  metric_ = 140;
  now_ += 1s;
  sampled_ = now_;
  Step("a");
  EXPECT_THAT(looked_at_, testing::ElementsAre("shop/b"));
  Step("b");
  Step("a");
  EXPECT_THAT(looked_at_, testing::SizeIs(1));
}

TEST_F(ThrottleGroupsTest, ACriticalBudgetHoldsAll) {
  AddBudget(Add("a"));
  Add("b");
  For(1min);
  metric_ = 400;
  For(20s);
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(RateOf(name), 0);
    EXPECT_EQ(Of(name).view.limited_by, "Hold");
    EXPECT_EQ(Of(name).view.status->state, "Held");
  }
}

TEST_F(ThrottleGroupsTest, WhoIsPausedLeavesItsPartToTheOthersAndOneMayStayPaused) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(10min);
  const double before = GroupRate();
  Of("b").b.spec.paused = true;
  For(5s);
  EXPECT_EQ(RateOf("b"), 0);
  EXPECT_EQ(Of("b").view.limited_by, "Pause");
  EXPECT_EQ(Of("b").view.status->state, "Paused");
  EXPECT_GE(RateOf("a"), before * 0.99) << "the rate of the group is what it was";
}

TEST_F(ThrottleGroupsTest, WhenAllArePausedItComesBackWithAQuarter) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(10min);
  const double before = GroupRate();
  for (auto& [name, m] : members_) m.b.spec.paused = true;
  For(5s);
  for (auto& [name, m] : members_) m.b.spec.paused = false;
  For(3s);
  EXPECT_NEAR(RateOf("a") + RateOf("b"), before / 4, 1);
}

TEST_F(ThrottleGroupsTest, AnOverrideOfOneActsOnAllAndAllSayWhose) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(10min);
  Of("b").b.spec.throttle.override =
      api::Override{api::OverrideType::kCap, 10, "2026-11-29T12:00:00Z", "incident 4711"};
  For(5s);
  EXPECT_NEAR(RateOf("a") + RateOf("b"), 10, 0.1);
  EXPECT_EQ(Of("a").view.limited_by, "Override");
  EXPECT_EQ(Of("a").view.status->state, "Overridden");
  EXPECT_THAT(Of("a").view.status->reason, HasSubstr("b: Cap 10/s until"));
}

TEST_F(ThrottleGroupsTest, OneOutsideOfItsScheduleLeavesItsPartToTheOthers) {
  Add("a", 100);
  Member& b = Add("b", 100);
  b.b.spec.schedule = api::Schedule{};
  b.b.spec.schedule->windows = {{{"Mon"}, "08:00", "09:00", {}}};  // it is a Saturday
  For(5s);
  EXPECT_EQ(RateOf("b"), 0);
  EXPECT_EQ(Of("b").view.status->state, "Blackout");
  EXPECT_NEAR(RateOf("a"), 100, 0.1);
}

TEST_F(ThrottleGroupsTest, OneThatLeavesIsCountedUntilItsGrantsHaveEnded) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(10min);
  const double before = GroupRate();
  groups_.Leave("uid-b", now_);
  members_.erase("b");
  For(40s);
  EXPECT_LT(RateOf("a"), 0.8 * before);
  For(20s);
  EXPECT_GE(RateOf("a"), 0.99 * before);
  EXPECT_EQ(Of("a").view.status->reason, "group orders-db");
}

TEST_F(ThrottleGroupsTest, OneWhoseMetricCannotBeReadWaitsAloneBeforeItsFirstRecord) {
  AddBudget(Add("a"));
  For(5min);
  Member& b = Add("b");
  AddBudget(b);
  b.open.totals = {};
  b.open.granted = 0;
  // It has not begun, and nothing has answered yet.
  const auto view = b.throttling.Step(
      {.backfill = b.b, .observations = {throttle::Observation{}}, .groups = &groups_}, now_,
      wall_);
  ASSERT_TRUE(view.ok());
  EXPECT_NE(view->waits_for, "");
  members_.erase("b");
  For(1min);
  EXPECT_EQ(Of("a").view.status->reason, "group orders-db") << "b is no member";
  EXPECT_EQ(Of("a").view.limited_by, "Budget");
}

TEST_F(ThrottleGroupsTest, WhatWorkersOfOneThatRestsDoNotMeasureHoldsNobody) {
  AddBudget(Add("a"));
  Member& b = Add("b");
  api::Budget& budget = b.b.spec.throttle.budgets.emplace_back();
  budget.name = "errors";
  budget.max = "0.5";
  budget.workers = api::WorkersMetric{};
  For(1min);
  EXPECT_EQ(Of("a").view.status->budgets.size(), 2U);
  b.b.spec.paused = true;
  For(1min);
  EXPECT_EQ(Of("a").view.status->budgets.size(), 1U);
}

TEST_F(ThrottleGroupsTest, BudgetsThatHaveNoRoomAreRefusedForTheYoungerMember) {
  Member& a = Add("a");
  for (int i = 0; i < 10; ++i)
    AddBudget(a, "100", "a" + std::to_string(i), "http://a/" + std::to_string(i));
  Member& b = Add("b");
  for (int i = 0; i < 10; ++i)
    AddBudget(b, "100", "b" + std::to_string(i), "http://b/" + std::to_string(i));
  (void)TryStep("a");
  const auto refused = TryStep("b");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("spec.throttle.group: "));
  EXPECT_TRUE(TryStep("a").ok());
}

TEST_F(ThrottleGroupsTest, AnotherOperatorGoesOnWithTheLeastThatIsKnownAndWhatWorkersHave) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(15min);
  const double before = GroupRate();
  const double had = RateOf("a");
  TakeOver();
  Of("b").b.status.throttle->rate = before * 0.9;  // an older status
  Of("a").open.reported = had;
  Of("a").open.granted = had;
  Of("b").open.reported = 0;
  For(20s);
  EXPECT_NEAR(RateOf("a"), had, 0.02 * had);
  EXPECT_EQ(RateOf("b"), 0) << "its workers have said nothing";
  EXPECT_EQ(Of("b").view.limited_by, "Group");
  EXPECT_LE(most_granted_, before);
  For(40s);
  EXPECT_LE(GroupRate(), 0.9 * before * 1.15);
  EXPECT_NEAR(RateOf("a"), RateOf("b"), 0.02 * RateOf("b"));
}

TEST_F(ThrottleGroupsTest, AHoldOutlivesTheOperatorForAll) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(1min);
  metric_ = 400;
  For(20s);
  ASSERT_EQ(Of("a").view.status->state, "Held");
  TakeOver();
  metric_ = 50;
  For(5s);
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(RateOf(name), 0);
    EXPECT_EQ(Of(name).view.status->state, "Held");
  }
}

TEST_F(ThrottleGroupsTest, OneThatGoesOnAloneTakesItsPartAlong) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  For(10min);
  const double share = RateOf("b");
  Of("b").b.spec.throttle.group.reset();
  For(1s);
  EXPECT_LE(RateOf("b"), share * 1.05);
  EXPECT_GT(RateOf("b"), 0);
  EXPECT_THAT(Of("b").view.status->reason, testing::Not(HasSubstr("group")));
}

TEST_F(ThrottleGroupsTest, OneThatWasAloneDoesNotRaiseTheSumWhenItJoins) {
  AddBudget(Add("a"));
  AddBudget(Add("b"));
  Of("b").b.spec.throttle.group.reset();
  For(10min);
  const double before = Granted();
  most_granted_ = 0;
  Of("b").b.spec.throttle.group = api::ThrottleGroup{"orders-db", 1};
  For(10s);
  EXPECT_LE(most_granted_, before * 1.05);
  EXPECT_LE(Granted(), GroupRate() * (1 + 1e-9));
}

TEST_F(ThrottleGroupsTest, GroupsOfOtherNamesAndNamespacesAreOthers) {
  Add("a", 100);
  Add("b", 100).b.spec.throttle.group->name = "other";
  Add("c", 100).b.ns = "elsewhere";
  For(2s);
  for (const char* name : {"a", "b", "c"})
    EXPECT_THAT(Of(name).view.status->reason, AnyOf("group orders-db", "group other")) << name;
}

TEST_F(ThrottleGroupsTest, TheDecisionsOfAGroupCanBeMadeAgain) {
  AddBudget(Add("a"));
  AddBudget(Add("b", 100), "80");
  For(3min);
  Of("a").b.spec.paused = true;
  For(1min);
  metric_ = 130;
  Of("a").b.spec.paused = false;
  For(2min);
  TakeOver();
  Of("a").open.reported = 5;
  For(2min);
  decision_log::Replay replay;
  for (const std::string& line : log_.lines) (void)replay.Add(line);
  EXPECT_GT(replay.counts().decisions, 40U);
  EXPECT_EQ(replay.governors(), 1U) << "shop/group:orders-db";
  EXPECT_EQ(replay.counts().invalid, 0U) << replay.problem();
  EXPECT_EQ(replay.counts().different, 0U)
      << replay.differences()[0].field << " " << replay.differences()[0].logged << " "
      << replay.differences()[0].now;
}

// Reconcilers of members run on threads of their own.
TEST_F(ThrottleGroupsTest, MembersMayTakeTheirStepsAtOnce) {
  constexpr int kMembers = 4;
  std::vector<std::jthread> threads;
  std::vector<double> rates(kMembers);
  for (int i = 0; i < kMembers; ++i) {
    threads.emplace_back([this, i, &rates] {
      GroupReport report;
      report.uid = std::to_string(i);
      report.of_spec.options.max_records_per_second = 100;
      report.member = {.limit = 100, .open = true, .waits = true};
      for (int step = 0; step < 200; ++step) {
        const auto answer = groups_.Step("shop", "g" + std::to_string(step / 100), report, nullptr,
                                         now_ + step * 1s, wall_ + step * 1s);
        rates[static_cast<std::size_t>(i)] = answer.ok() ? answer->decision.rate : -1;
        report.member.in_force = std::max(0.0, rates[static_cast<std::size_t>(i)]);
      }
    });
  }
  threads.clear();
  for (const double rate : rates) EXPECT_NEAR(rate, 100, 1e-3);
}

}  // namespace
}  // namespace backfill::reconcile
