#include "operator/coordinator/partition_share.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;

class PartitionShareTest : public ::testing::Test {
 protected:
  void Join(std::uint64_t session) {
    share_.Join({session}, "run-" + std::to_string(session) + "/a");
  }
  void Rates(std::map<std::string, double> named, double others = 0) {
    share_.SetRates({.named = std::move(named), .others = others});
  }
  void Says(std::uint64_t session, const std::string& name, PartitionTotals totals) {
    share_.OnReport({session}, {{name, totals}}, now_);
  }
  // What each worker was told last.
  void Deal() {
    for (const PartitionAction& action : share_.Tick(now_)) told_[action.session.value] = action;
  }
  double Cap(std::uint64_t session, const std::string& name) { return told_[session].caps[name]; }

  Time now_{1h};
  PartitionShare share_{{.ttl = 30s, .refresh = 5s}};
  std::map<std::uint64_t, PartitionAction> told_;
};

TEST_F(PartitionShareTest, SaysNothingBeforeThereAreRates) {
  Join(1);
  EXPECT_TRUE(share_.Tick(now_).empty());
}

TEST_F(PartitionShareTest, WhereNobodyHasRecordsOfItAllGetTheSame) {
  Join(1);
  Join(2);
  Rates({{"eu", 100}}, 10);
  Deal();
  EXPECT_DOUBLE_EQ(Cap(1, "eu"), 50);
  EXPECT_DOUBLE_EQ(Cap(2, "eu"), 50);
  EXPECT_DOUBLE_EQ(told_[1].others, 5);
}

TEST_F(PartitionShareTest, WhoHasRecordsOfItGetsNineTenths) {
  for (const std::uint64_t session : {1U, 2U, 3U}) Join(session);
  Rates({{"eu", 100}});
  Says(1, "eu", {.attempts = 0, .waiting = 7});
  Deal();
  EXPECT_DOUBLE_EQ(Cap(1, "eu"), 90);
  EXPECT_DOUBLE_EQ(Cap(2, "eu"), 5);
  EXPECT_DOUBLE_EQ(Cap(3, "eu"), 5);
}

TEST_F(PartitionShareTest, TheSumIsTheRate) {
  for (std::uint64_t session = 1; session <= 7; ++session) Join(session);
  Rates({{"eu", 100}, {"us", 3}});
  for (const std::uint64_t session : {2U, 5U, 6U}) Says(session, "eu", {.waiting = 1});
  for (std::uint64_t session = 1; session <= 7; ++session) Says(session, "us", {.waiting = 1});
  Deal();
  double eu = 0, us = 0;
  for (std::uint64_t session = 1; session <= 7; ++session) {
    eu += Cap(session, "eu");
    us += Cap(session, "us");
  }
  EXPECT_NEAR(us, 3, 1e-9);
  EXPECT_LE(eu, 100 + 1e-9);
}

TEST_F(PartitionShareTest, ACutDoesNotWait) {
  Join(1);
  Rates({{"eu", 100}});
  Deal();
  now_ += 1ms;
  Rates({{"eu", 40}});
  Deal();
  EXPECT_DOUBLE_EQ(Cap(1, "eu"), 40);
  now_ += 1ms;
  Rates({{"eu", 80}});
  Deal();
  EXPECT_DOUBLE_EQ(Cap(1, "eu"), 40) << "more may wait a little";
  now_ += PartitionShare::kDealEvery;
  Deal();
  EXPECT_DOUBLE_EQ(Cap(1, "eu"), 80);
}

TEST_F(PartitionShareTest, CapsAreRenewedBeforeTheyEnd) {
  Join(1);
  Rates({{"eu", 100}});
  Deal();
  now_ += 1s;
  EXPECT_TRUE(share_.Tick(now_).empty());
  now_ += 4s;
  EXPECT_EQ(share_.Tick(now_).size(), 1U);
}

TEST_F(PartitionShareTest, WhatAWorkerThatLeftWasGivenCountsUntilItHasExpired) {
  Join(1);
  Join(2);
  Rates({{"eu", 100}});
  Deal();
  share_.Leave({1});
  now_ += 29s;
  Deal();
  EXPECT_DOUBLE_EQ(Cap(2, "eu"), 50);
  now_ += 2s;
  Deal();
  EXPECT_DOUBLE_EQ(Cap(2, "eu"), 100);
}

TEST_F(PartitionShareTest, AProcessOnANewStreamIsNotAnother) {
  Join(1);
  Rates({{"eu", 100}});
  share_.Join({9}, "run-1/a");
  Deal();
  EXPECT_DOUBLE_EQ(Cap(9, "eu"), 100);
  share_.Leave({1});  // of the old stream, late
  Deal();
  EXPECT_EQ(share_.Tick(now_ + 6s).size(), 1U);
}

TEST_F(PartitionShareTest, AddsUpWhatWorkersSay) {
  Join(1);
  Join(2);
  Says(1, "eu", {.attempts = 100, .waiting = 3});
  Says(2, "eu", {.attempts = 50, .waiting = 4, .limited = true});
  now_ += 1s;
  Says(1, "eu", {.attempts = 160, .waiting = 3});
  Says(2, "eu", {.attempts = 90, .waiting = 4, .limited = true});
  const reconcile::PartitionFlow flow = share_.Flows(now_).at("eu");
  EXPECT_GT(flow.attempts_per_second, 0) << "what came before the first report does not count";
  EXPECT_EQ(flow.waiting, 7U);
  EXPECT_TRUE(flow.limited);
}

TEST_F(PartitionShareTest, ANameThatAReportLeavesOutWaitsForNothing) {
  Join(1);
  Says(1, "eu", {.waiting = 3, .limited = true});
  Says(1, "us", {.waiting = 1});
  EXPECT_FALSE(share_.Flows(now_).contains("eu"));
}

TEST_F(PartitionShareTest, MoreNamesThanThereMayBeCountAsNone) {
  Join(1);
  for (int i = 0; i < 200; ++i) Says(1, "p" + std::to_string(i), {.attempts = 1, .waiting = 1});
  std::map<std::string, PartitionTotals> all;
  for (int i = 0; i < 200; ++i) all["p" + std::to_string(i)] = {.attempts = 2, .waiting = 1};
  share_.OnReport({1}, all, now_);
  EXPECT_LE(share_.Flows(now_).size(), PartitionShare::kMax + 1);
  EXPECT_TRUE(share_.Flows(now_).contains(""));
}

TEST_F(PartitionShareTest, RatesThatAreNoneAreZero) {
  Join(1);
  Rates({{"eu", std::numeric_limits<double>::quiet_NaN()}, {"us", -5}},
        std::numeric_limits<double>::infinity());
  Deal();
  EXPECT_EQ(Cap(1, "eu"), 0);
  EXPECT_EQ(Cap(1, "us"), 0);
  EXPECT_EQ(told_[1].others, 0);
}

}  // namespace
}  // namespace backfill::coordinator
