#include "operator/certificates/certificate_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "tests/operator/certificates/verification.h"

namespace backfill::certificates {
namespace {

using namespace std::chrono_literals;

WallTime::duration Steps(Duration d) { return std::chrono::duration_cast<WallTime::duration>(d); }

const std::vector<std::string> kNames = ServerNames("backfill-coordinator", "ops");

// The certificates over months: a replica looks at them, and workers that get the bundle up to two
// minutes late must be able to connect at any moment.
class CertificateLife {
 public:
  void Look() {
    for (int i = 0; i < 10; ++i) {
      if (changed_) held_ = FactsOf(set_, kNames);
      changed_ = false;
      if (set_.next.certificate != next_seen_) {
        next_seen_ = set_.next.certificate;
        next_since_ = steady_;
      }
      const Duration seen_for = steady_ - next_since_;
      const CertificateDecision decision = Decide(
          held_, {.seen_for = seen_for, .published_for = seen_for}, now_ + Steps(skew_), policy_);
      if (decision.step == CertificateStep::kNothing) return;
      ++taken_[decision.step];
      auto next = Take(decision.step, std::move(set_), kNames, policy_, now_ + Steps(skew_));
      ASSERT_TRUE(next.ok()) << next.error().message;
      set_ = *std::move(next);
      changed_ = true;
    }
    FAIL() << "there is no end of steps";
  }
  void Pass(Duration d) {
    if (bundle_of_ != set_.current.certificate + set_.next.certificate + set_.old) {
      bundle_of_ = set_.current.certificate + set_.next.certificate + set_.old;
      bundle_ = BundleOf(set_);
    }
    seen_.push_back({steady_, bundle_});
    steady_ += d;
    now_ += Steps(d);
    // The newest that is two minutes old is what all workers have at least.
    while (seen_.size() > 1 && steady_ - seen_[1].first >= 2min) seen_.pop_front();
  }
  // Of workers whose clock is right.
  [[nodiscard]] std::string WhyNoWorkerConnects() const {
    return WhyNotTrusted(set_.server.certificate, seen_.front().second, kNames[0], now_);
  }
  void ClockIsOffBy(Duration skew) { skew_ = skew; }
  void ALeaderFollows() { next_seen_.clear(); }
  int Taken(CertificateStep step) { return taken_[step]; }
  [[nodiscard]] const CertificateSet& set() const { return set_; }
  void SomebodyWrites(CertificateSet set) {
    set_ = std::move(set);
    changed_ = true;
  }
  [[nodiscard]] WallTime now() const { return now_; }

 private:
  const CertificatePolicy policy_;
  CertificateSet set_;
  HeldCertificates held_;  // as of set_, unless it has changed
  bool changed_ = true;
  std::string bundle_, bundle_of_;
  WallTime now_{std::chrono::seconds(1'800'000'000)};
  Time steady_{};
  Duration skew_{0};  // of the operator's time of day
  std::string next_seen_;
  Time next_since_{};
  std::deque<std::pair<Time, std::string>> seen_;
  std::map<CertificateStep, int> taken_;
};

TEST(CertificateSetTest, InTwoYearsWorkersAlwaysConnect) {
  CertificateLife life;
  life.Look();
  life.Pass(5min);
  for (Duration passed{0}; passed < std::chrono::hours(24 * 730);) {
    // Every quarter of a minute where something goes on, else once a day.
    const bool busy = !life.set().next.certificate.empty();
    const Duration step = busy ? Duration(15s) : Duration(24h);
    life.Look();
    ASSERT_EQ(life.WhyNoWorkerConnects(), "") << passed / 1h;
    life.Pass(step);
    passed += step;
  }
  EXPECT_EQ(life.Taken(CertificateStep::kStartAfresh), 1);
  EXPECT_EQ(life.Taken(CertificateStep::kPublishNextAuthority), 2);  // after 8 and 16 months
  EXPECT_EQ(life.Taken(CertificateStep::kUseNextAuthority), 2);
  EXPECT_EQ(life.Taken(CertificateStep::kDropOldAuthority), 2);
  EXPECT_GE(life.Taken(CertificateStep::kIssueServerCertificate), 34);  // each 20 days
  EXPECT_LE(life.Taken(CertificateStep::kIssueServerCertificate), 37);
}

// The time of day of a leader may be wrong by minutes at any moment, also between two leaders.
TEST(CertificateSetTest, ClocksThatAreFourMinutesOffHarmNobody) {
  std::mt19937 random(20261128);
  CertificateLife life;
  life.Look();
  life.Pass(5min);
  const auto off = [&] {
    return std::chrono::seconds(std::uniform_int_distribution<int>(-240, 240)(random));
  };
  for (Duration passed{0}; passed < std::chrono::hours(24 * 400);) {
    const bool busy = !life.set().next.certificate.empty();
    const Duration step = busy ? Duration(60s) : Duration(24h);
    life.ClockIsOffBy(off());
    if (random() % 50 == 0) life.ALeaderFollows();
    life.Look();
    life.Pass(step);
    ASSERT_EQ(life.WhyNoWorkerConnects(), "") << passed / 1h;
    passed += step;
  }
  EXPECT_EQ(life.Taken(CertificateStep::kUseNextAuthority), 1);
}

TEST(CertificateSetTest, AClockThatJumpsAndComesBackHealsByItself) {
  for (const Duration jump :
       {Duration(48h), Duration(-48h), Duration(24h * 29), Duration(-24h * 29), Duration(24h * 300),
        Duration(-24h * 300), Duration(24h * 4000)}) {
    SCOPED_TRACE(jump / 1h);
    CertificateLife life;
    life.Look();
    life.Pass(1h);
    life.ClockIsOffBy(jump);
    for (int i = 0; i < 30; ++i) {
      life.Look();
      life.Pass(1min);
    }
    life.ClockIsOffBy(0s);
    for (int i = 0; i < 30; ++i) {
      life.Look();
      life.Pass(1min);
    }
    EXPECT_EQ(life.WhyNoWorkerConnects(), "");
  }
}

TEST(CertificateSetTest, WhateverStandsThereASetComesOutThatCanBeUsed) {
  CertificateLife other;
  other.Look();
  const CertificateSet good = other.set();
  const std::vector<std::string> texts = {"",
                                          "garbage",
                                          good.current.certificate,
                                          good.current.key,
                                          good.server.certificate,
                                          good.server.key,
                                          std::string(70'000, 'x')};
  std::mt19937 random(20261128);
  const auto any = [&]() -> const std::string& { return texts[random() % texts.size()]; };
  for (int i = 0; i < 100; ++i) {
    CertificateLife life;
    life.SomebodyWrites({.current = {.certificate = any(), .key = any()},
                         .next = {.certificate = any(), .key = any()},
                         .old = any(),
                         .server = {.certificate = any(), .key = any()}});
    for (int minute = 0; minute < 30; ++minute) {
      life.Look();
      life.Pass(1min);
    }
    ASSERT_EQ(life.WhyNoWorkerConnects(), "") << "seed 20261128, " << i;
    ASSERT_THAT(BundleOf(life.set()), testing::Not(testing::HasSubstr("PRIVATE KEY")));
  }
}

}  // namespace
}  // namespace backfill::certificates
