#include "operator/decision_log/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "operator/decision_log/decision_log.h"

namespace backfill::decision_log {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using throttle::Answer;
using throttle::GovernorOptions;
using throttle::Observation;

GovernorOptions TwoBudgets() {
  GovernorOptions options;
  options.max_records_per_second = 600;
  options.initial = 100;
  options.budgets = {
      {.name = "p99", .bound = 0.25, .critical = 0.5},
      {.name = "errors", .bound = 0.01, .on_no_traffic = throttle::OnNoTraffic::kProbe}};
  return options;
}

// A log in memory. Its volume rises when the test says so.
struct ListedLog final : DecisionSink {
  void Write(std::string_view line) override { lines.emplace_back(line); }
  [[nodiscard]] std::uint64_t Volume() const override { return volume; }
  std::vector<std::string> lines;
  std::uint64_t volume = 1;
};

// A governor through an eventful time, and its log.
class ReplayTest : public testing::Test {
 protected:
  void Run(int ticks, std::uint64_t seed = 1, const std::string& name = "shop/reprice") {
    std::mt19937_64 random(seed);
    LoggedGovernor governor(name, throttle::Governor(TwoBudgets()), &sink_);
    Time now{1h};
    double rate = 100;
    for (int i = 0; i < ticks; ++i) {
      now += 10s;
      throttle::Inputs inputs;
      const double wave =
          0.15 + 0.14 * std::sin(i / 9.0) + 0.03 * static_cast<double>(random() % 10);
      inputs.observations = {
          {.answer = Answer::kValue, .value = wave, .time = now - 7s, .detail = ""},
          {.answer = Answer::kValue, .value = 0.004, .time = now - 3s, .detail = ""}};
      if (i % 40 > 30)
        inputs.observations[1] = {
            .answer = Answer::kNotANumber, .value = NAN, .time = now, .detail = "0/0 \xff"};
      if (i % 97 == 0) inputs.observations[0].value = INFINITY;
      inputs.sent = rate * 0.97;
      inputs.records_wait = true;
      inputs.paused = i % 113 > 105;
      if (i % 200 > 190) inputs.pin = throttle::Pin{.records_per_second = 50};
      if (i % 150 > 140) inputs.cap = 20.5;
      if (i < 3) inputs.reported = 40;
      rate =
          governor.Step(inputs, now, WallTime(std::chrono::seconds(1'800'000'000 + 10 * i))).rate;
    }
  }
  ReplayCounts ReplayAll() {
    for (const std::string& line : log_) replay_.Add(line);
    return replay_.counts();
  }

  ListedLog sink_;
  std::vector<std::string>& log_ = sink_.lines;
  Replay replay_;
};

TEST_F(ReplayTest, MakesTheSameDecisionsBitForBit) {
  Run(500);
  const ReplayCounts counts = ReplayAll();
  EXPECT_EQ(counts.decisions, 500u);
  EXPECT_EQ(counts.different, 0u) << (replay_.differences().empty()
                                          ? ""
                                          : replay_.differences()[0].field + ": " +
                                                replay_.differences()[0].logged + " | " +
                                                replay_.differences()[0].now);
  EXPECT_EQ(counts.invalid, 0u) << replay_.problem();
}

// What workers still have of the grants of the operator before is a part of where it stands.
TEST_F(ReplayTest, AlsoThoseAfterATakeover) {
  Time now{1h};
  const WallTime wall(std::chrono::seconds(1'800'000'000));
  LoggedGovernor governor(
      "shop/reprice", throttle::Governor::Restore(TwoBudgets(), {.rate = 100}, now, wall), &sink_);
  for (int i = 0; i < 6; ++i) {
    throttle::Inputs inputs;
    inputs.observations.assign(
        2, {.answer = Answer::kValue, .value = 0.004, .time = now, .detail = ""});
    if (i < 3) inputs.reported = 10.0 * i;
    (void)governor.Step(inputs, now += 10s, wall);
  }
  EXPECT_EQ(ReplayAll().decisions, 6u);
  EXPECT_EQ(replay_.counts().different, 0u);
}

TEST_F(ReplayTest, ADecisionIsOneLine) {
  Run(10);
  ASSERT_EQ(log_.size(), 11u);
  for (const std::string& line : log_) EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_THAT(log_[1], HasSubstr(R"("governor":"shop/reprice")"));
}

TEST_F(ReplayTest, BeginsWhereTheLogSaysWhereTheGovernorStands) {
  Run(1000);
  log_.erase(log_.begin(), log_.begin() + 100);
  const ReplayCounts counts = ReplayAll();
  EXPECT_EQ(counts.unanchored, 261u) << "until the next start, an hour after the first";
  EXPECT_EQ(counts.decisions, 640u);
  EXPECT_EQ(counts.different, 0u);
}

TEST_F(ReplayTest, WhatBeginsAnewCanBeReplayedByItself) {
  Run(10);
  ++sink_.volume;
  LoggedGovernor governor("shop/reprice", throttle::Governor(TwoBudgets()), &sink_);
  const auto step = [&](int i) {
    governor.Step({}, Time(std::chrono::hours(2) + i * 10s), WallTime(2'000'000'000s));
  };
  step(0), step(1);
  ++sink_.volume;
  log_.clear();
  step(2), step(3);
  const ReplayCounts counts = ReplayAll();
  EXPECT_EQ(counts.decisions, 2u);
  EXPECT_EQ(counts.unanchored, 0u);
  EXPECT_EQ(counts.different, 0u);
}

TEST_F(ReplayTest, WithoutALogItDecidesAllTheSame) {
  LoggedGovernor governor("shop/reprice", throttle::Governor(TwoBudgets()), nullptr);
  throttle::Governor other(TwoBudgets());
  EXPECT_EQ(governor.Step({}, Time(1h), WallTime(2'000'000'000s)), other.Step({}, Time(1h)));
}

TEST_F(ReplayTest, TellsGovernorsApartAndSkipsWhatIsNotOurs) {
  Run(100, 1, "a");
  Run(100, 2, "b");
  std::rotate(log_.begin(), log_.begin() + 101, log_.end());
  log_.insert(log_.begin() + 50,
              {R"({"level":"info","msg":"hello"})", "", "}{", R"({"throttle":1})"});
  const ReplayCounts counts = ReplayAll();
  EXPECT_EQ(counts.decisions, 200u);
  EXPECT_EQ(counts.different, 0u);
  EXPECT_EQ(counts.invalid, 0u);
  EXPECT_EQ(replay_.governors(), 2u);
}

TEST_F(ReplayTest, SaysWhatComesOutDifferently) {
  Run(30);
  const std::size_t at = log_[20].find(R"("limit":600)");
  ASSERT_NE(at, std::string::npos) << log_[20];
  log_[20].replace(at, 11, R"("limit":599)");
  const ReplayCounts counts = ReplayAll();
  EXPECT_EQ(counts.different, 1u);
  ASSERT_EQ(replay_.differences().size(), 1u);
  const Difference& d = replay_.differences()[0];
  EXPECT_EQ(d.line, 21u);
  EXPECT_EQ(d.field, "limit");
  EXPECT_EQ(d.logged, "599.0");
  EXPECT_EQ(d.now, "600.0");
}

TEST_F(ReplayTest, NamesTheFirstLineThatCannotBeUnderstood) {
  Run(2);
  log_.insert(log_.begin() + 1, R"({"throttle":"step","governor":"x"})");
  EXPECT_EQ(ReplayAll().invalid, 1u);
  EXPECT_EQ(replay_.problem(), "line 2: a step: at is missing");
}

TEST_F(ReplayTest, RefusesWhatNoGovernorCanHaveSaid) {
  Run(1);
  const auto start_with = [&](const std::string& from, const std::string& to) {
    std::string line = log_[0];
    const std::size_t at = line.find(from);
    EXPECT_NE(at, std::string::npos) << from << " in " << line;
    if (at != std::string::npos) line.replace(at, from.size(), to);
    return Parse(line);
  };
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {R"("rate":100.0)", R"("rate":"NaN")"},
           {R"("rate":100.0)", R"("rate":-1)"},
           {R"("rate":100.0)", R"("holdBegan":5,"rate":100.0)"},
           {R"("holds":0)", R"("holds":-7)"},
           {R"("max":600.0)", R"("max":0)"},
           {R"("tick":10000000000)", R"("tick":0)"},
           {R"("bound":0.25)", R"("bound":"Infinity")"},
           {R"("version":1)", R"("version":2)"},
           {R"("rate":100.0)", R"("lastStep":9223372036854775807,"rate":100.0)"}}) {
    EXPECT_FALSE(start_with(from, to).ok()) << to;
  }
  EXPECT_TRUE(start_with("p99", "p98").ok());
}

TEST_F(ReplayTest, DeepOrLongLinesAreNotOurs) {
  std::string deep = R"({"throttle":"step","in":)" + std::string(100'000, '[');
  EXPECT_TRUE(Parse(deep).ok());
  EXPECT_FALSE(Parse(deep)->has_value());
  EXPECT_FALSE(Parse(R"({"throttle":"step","governor":")" + std::string(kMaxLine, 'x') + "\"}")
                   ->has_value());
}

// Changed bytes give an error, another governor, or nothing; never the end of the process.
RC_GTEST_PROP(ReplayFuzzTest, SurvivesChangedLogs, ()) {
  static const std::vector<std::string> log = [] {
    struct Log : ReplayTest {
      void TestBody() override {}
      using ReplayTest::log_;
      using ReplayTest::Run;
    } source;
    source.Run(8);
    return source.log_;
  }();
  Replay replay;
  for (const std::string& original : log) {
    std::string line = original;
    if (*rc::gen::inRange(0, 3) == 0) {
      const std::size_t at = *rc::gen::inRange<std::size_t>(0, line.size());
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
          line[at] = *rc::gen::element('0', '9', '-', 'e', '"', '[', '}', ',', 'N', '\0', '\xff');
          break;
        case 1:
          line.insert(
              at, *rc::gen::element<std::string>("999999999999999999", "-", "null", "{}", "1e308"));
          break;
        case 2:
          line.erase(at, *rc::gen::inRange<std::size_t>(1, 40));
          break;
        default:
          line.resize(at);
      }
    }
    if (const auto step = replay.Add(line)) {
      RC_ASSERT(step->decision.rate >= 0 && std::isfinite(step->decision.rate));
    }
  }
}

}  // namespace
}  // namespace backfill::decision_log
