#include "operator/lease/report.h"

#include <gtest/gtest.h>

namespace backfill::lease {
namespace {

using Kind = Judgement::Kind;

// 100 records, 20 before the cursor and the 22nd with an outcome.
ledger::Shard InFlight() {
  ledger::Shard s;
  s.id = {1};
  s.range = {1000, 1100};
  s.planned = 100;
  s.state = ledger::ShardState::kInFlight;
  s.attempt = {1};
  s.cursor = 1020;
  s.done_above = "\x02";
  s.counts = {.updated = 20, .failed = 1};
  return s;
}

LeaseReport Same() {
  return {.shard = {1},
          .attempt = {1},
          .epoch = {1},
          .end = 1100,
          .cursor = 1020,
          .done_above = "\x02",
          .counts = {.updated = 20, .failed = 1}};
}

struct Case {
  const char* name;
  void (*change)(LeaseReport&);
  Kind kind;
  const char* problem = "";
};

class JudgeTest : public testing::TestWithParam<Case> {};

TEST_P(JudgeTest, Judges) {
  LeaseReport report = Same();
  GetParam().change(report);
  const Judgement judgement = Judge(report, InFlight());
  EXPECT_EQ(judgement.kind, GetParam().kind);
  EXPECT_EQ(judgement.problem, GetParam().problem);
}

const Case kCases[] = {
    {"the same", [](LeaseReport&) {}, Kind::kNoNews},
    {"more in flight only", [](LeaseReport& r) { r.in_flight = 9; }, Kind::kNoNews},
    {"zeros behind the bitmap", [](LeaseReport& r) { r.done_above += std::string(9, '\0'); },
     Kind::kNoNews},
    {"a bitmap that no worker could go on from",
     [](LeaseReport& r) { r.done_above = std::string(513, '\0'); }, Kind::kBroken,
     "the bitmap is too long"},
    {"the cursor passed the bitmap",
     [](LeaseReport& r) { r.cursor = 1022, r.done_above = "", ++r.counts.skipped; }, Kind::kNews},
    {"one more in the bitmap", [](LeaseReport& r) { r.done_above = "\x0A", ++r.counts.updated; },
     Kind::kNews},
    {"a lower end", [](LeaseReport& r) { r.end = 1050; }, Kind::kNews},
    {"older",
     [](LeaseReport& r) { r.cursor = 1010, r.done_above = "", r.counts = {.updated = 10}; },
     Kind::kNoNews},
    {"the end raised", [](LeaseReport& r) { r.end = 1101; }, Kind::kBroken,
     "the end is beyond the shard's"},
    {"an end before the begin", [](LeaseReport& r) { r.end = 999; }, Kind::kBroken,
     "the end is before the shard's begin"},
    {"an end below the cursor", [](LeaseReport& r) { r.end = 1019; }, Kind::kBroken,
     "a cursor outside the range"},
    {"an end below an outcome", [](LeaseReport& r) { r.end = 1021; }, Kind::kBroken,
     "a bitmap that reaches beyond the range"},
    {"returned after work was done",
     [](LeaseReport& r) { r.end = r.cursor = 1000, r.done_above = "", r.counts = {}; },
     Kind::kBroken, "an empty range"},
    {"counts that do not add up", [](LeaseReport& r) { ++r.counts.failed; }, Kind::kBroken,
     "counts that differ from cursor and bitmap"},
    {"a huge bitmap", [](LeaseReport& r) { r.done_above.assign(1025, '\xFF'); }, Kind::kBroken,
     "the bitmap is too long"},
    {"another outcome for a counted record",
     [](LeaseReport& r) { r.counts = {.updated = 19, .failed = 2}; }, Kind::kBroken,
     "outcomes were taken back"},
    {"more records, but not the same ones",
     [](LeaseReport& r) {
       r.cursor = 1021, r.done_above = "\x02", r.counts = {.updated = 21, .failed = 1};
     },
     Kind::kBroken, "outcomes were taken back"},
    {"more records, and the cursor back",
     [](LeaseReport& r) {
       r.cursor = 1019, r.done_above = "\x1E", r.counts = {.updated = 22, .failed = 1};
     },
     Kind::kBroken, "outcomes were taken back"},
};
std::string NameOf(const testing::TestParamInfo<Case>& tested) {
  std::string name = tested.param.name;
  for (char& c : name) c = c >= 'a' && c <= 'z' ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, JudgeTest, testing::ValuesIn(kCases), NameOf);

TEST(ReportTest, KnowsALeaseThatComesBackUntouched) {
  ledger::Shard s = InFlight();
  s.cursor = 1000;
  s.done_above.clear();
  s.counts = {};
  LeaseReport r = Same();
  r.end = r.cursor = 1000;
  r.done_above.clear();
  r.counts = {};
  EXPECT_TRUE(IsReturnedUntouched(r, s));
  EXPECT_TRUE(Judge(r, s).kind == Kind::kNews);
  EXPECT_FALSE(IsReturnedUntouched(r, InFlight()));
  r.end = 1001;
  EXPECT_FALSE(IsReturnedUntouched(r, s));
}

}  // namespace
}  // namespace backfill::lease
