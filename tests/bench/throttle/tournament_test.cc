#include "bench/throttle/tournament.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "bench/throttle/baselines.h"
#include "bench/throttle/governed.h"
#include "bench/throttle/table.h"

// A short version of `make bench-throttle`: what must not break unnoticed.
namespace backfill::throttle_bench {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TournamentOptions Short(const std::vector<std::string>& names) {
  auto all = ReadScenarios(BACKFILL_SCENARIOS);
  EXPECT_TRUE(all.ok());
  TournamentOptions options;
  for (const Scenario& s : *all) {
    if (std::find(names.begin(), names.end(), s.name) != names.end())
      options.scenarios.push_back(s);
  }
  EXPECT_EQ(options.scenarios.size(), names.size());
  options.limits = {kLimit};
  options.seeds = 2;
  return options;
}

TEST(TournamentTest, TheGovernorKeepsItsGates) {
  TournamentOptions options = Short(
      {"steady", "cold-start", "step", "capacity", "missing", "stale", "pause", "operator-down"});
  options.contestants = {TheGovernor()};
  const std::vector<Verdict> verdicts = Judge(Hold(options), options.scenarios);
  ASSERT_EQ(verdicts.size(), 9u) << "and the means";
  for (const Verdict& verdict : verdicts) EXPECT_EQ(verdict.missed, "") << verdict.what;
}

TEST(TournamentTest, ADangerousOneMissesThem) {
  TournamentOptions options = Short({"step", "missing"});
  options.contestants = {Baselines()[4]};
  const std::vector<Verdict> verdicts = Judge(Hold(options), options.scenarios);
  EXPECT_THAT(verdicts[0].missed, HasSubstr("over "));
  EXPECT_THAT(verdicts[1].missed, HasSubstr("blind "));
}

TEST(TournamentTest, TheInnerLoopMakesAnExcessSmaller) {
  TournamentOptions options = Short({"capacity"});
  options.contestants = {GovernorAlone(), TheGovernor()};
  const Tournament t = Hold(options);
  EXPECT_LT(t.results[0][0][1].sev, t.results[0][0][0].sev / 2);
}

TEST(TournamentTest, ThreadsDoNotChangeFigures) {
  TournamentOptions options = Short({"steady"});
  options.contestants = {TheGovernor()};
  options.threads = 1;
  const double one = Hold(options).results[0][0][0].thr;
  options.threads = 3;
  EXPECT_EQ(Hold(options).results[0][0][0].thr, one);
}

TEST(TournamentTest, ThePageHasEveryContestantAndEveryLoss) {
  TournamentOptions options = Short({"cold-start", "linear-95"});
  options.contestants = Baselines();
  options.contestants.push_back(GovernorAlone());
  options.contestants.push_back(TheGovernor());
  options.seeds = 1;
  const Tournament t = Hold(options);
  const auto verdicts = Judge(t, options.scenarios);
  const std::string page = ToMarkdown(t, verdicts, options);
  for (const Contestant& c : options.contestants) EXPECT_THAT(page, HasSubstr(std::string(c.name)));
  EXPECT_THAT(page, HasSubstr("- 2 cold start: on/off gate sends 99"));
  EXPECT_THAT(page, HasSubstr("16 linear, target 0.95"));
  EXPECT_THAT(ToJson(t, verdicts, options), StartsWith("{"));
}

}  // namespace
}  // namespace backfill::throttle_bench
