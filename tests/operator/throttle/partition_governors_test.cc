#include "operator/throttle/partition_governors.h"

#include "tests/operator/throttle/governor_fixture.h"

namespace backfill::throttle {
namespace {

class PartitionGovernorsTest : public testing::Test {
 protected:
  static GovernorOptions Options() {
    GovernorOptions options = OneBudget();
    options.initial = 100;
    options.budgets[0].scope = Scope::kPartition;
    options.budgets.push_back(BudgetNamed("of the whole"));
    return options;
  }
  PartitionDecisions Tick(const std::map<std::string, double>& metrics) {
    now_ += 10s;
    std::map<std::string, PartitionInputs> inputs;
    for (const auto& [name, value] : metrics)
      inputs[name] = {
          .observations = {{.answer = Answer::kValue, .value = value, .time = now_, .detail = ""}},
          .sent = last_.partitions.contains(name) ? last_.partitions[name].rate : 100};
    last_ = governors_.Step(inputs, shared_, now_);
    return last_;
  }

  PartitionGovernors governors_{Options()};
  Inputs shared_;
  Time now_{1h};
  PartitionDecisions last_;
};

TEST_F(PartitionGovernorsTest, OnlyBudgetsOfPartitionsAreUsed) {
  EXPECT_EQ(OfScope(Options(), Scope::kPartition).budgets.size(), 1u);
  EXPECT_EQ(OfScope(Options(), Scope::kGlobal).budgets[0].name, "of the whole");
}

TEST_F(PartitionGovernorsTest, AHotOneIsCutAndTheOthersGoOn) {
  Tick({{"cold", 60}, {"hot", 120}});
  EXPECT_NEAR(last_.partitions["hot"].rate, 70, 1e-9);
  EXPECT_GT(last_.partitions["cold"].rate, 100);
  EXPECT_EQ(last_.slowest, "hot");
}

TEST_F(PartitionGovernorsTest, TellsOnceOfOneThatIsSlowForTenMinutes) {
  std::size_t told = 0;
  for (int i = 0; i < 120; ++i) {
    told += Tick({{"a", 60}, {"b", 60}, {"hot", 120}}).hot.size();
    if (i == 55) {
      EXPECT_EQ(told, 0u);
    }
  }
  EXPECT_EQ(told, 1u);
}

TEST_F(PartitionGovernorsTest, OneThatIsNotNamedLandsAndIsForgotten) {
  Tick({{"here", 85}, {"gone", 85}});
  for (int i = 0; i < 60; ++i) Tick({{"here", 85}});
  EXPECT_EQ(last_.partitions["gone"].rate, 0);
  EXPECT_NEAR(last_.partitions["here"].rate, 100, 1e-9);
  for (int i = 0; i < 301; ++i) Tick({{"here", 85}});
  EXPECT_FALSE(last_.partitions.contains("gone"));
}

TEST_F(PartitionGovernorsTest, MoreThanSixtyFourAreRefused) {
  std::map<std::string, double> many;
  for (int i = 0; i < 100; ++i) many["p" + std::to_string(i)] = 50;
  Tick(many);
  EXPECT_EQ(last_.partitions.size(), 64u);
  EXPECT_EQ(last_.refused, 36u);
}

TEST_F(PartitionGovernorsTest, WhatHoldsForAllHoldsForEach) {
  shared_.paused = true;
  Tick({{"a", 50}});
  EXPECT_EQ(last_.partitions["a"].rate, 0);
}

}  // namespace
}  // namespace backfill::throttle
