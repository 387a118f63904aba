#include "cli/interventions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_code.h"
#include "tests/cli/command_fixture.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(InterventionsTest, AreReadAsTheyWereNoted) {
  api::Backfill b;
  const Intervention pause{"2026-05-01T12:00:00Z", "ann", "Paused", "errors"};
  const Intervention resume{"2026-05-01T12:10:00Z", "bob", "Resumed", ""};
  NoteIntervention(b, pause);
  NoteIntervention(b, resume);
  EXPECT_THAT(ReadInterventions(b).entries, ElementsAre(pause, resume));
  EXPECT_EQ(ReadInterventions(b).dropped, 0U);
}

TEST(InterventionsTest, TheOldestGiveWayAndAreCounted) {
  api::Backfill b;
  for (int i = 0; i < 70; ++i) NoteIntervention(b, {"t", std::to_string(i), "Paused", ""});
  const InterventionLog log = ReadInterventions(b);
  EXPECT_THAT(log.entries, SizeIs(64));
  EXPECT_EQ(log.entries.front().by, "6");
  EXPECT_EQ(log.dropped, 6U);
}

TEST(InterventionsTest, AreBoundedAndPrintable) {
  api::Backfill b;
  for (int i = 0; i < 70; ++i)
    NoteIntervention(b, {"t", std::string(1000, '\x1b'), "Paused", std::string(10'000, '"')});
  EXPECT_LE(b.annotations.at(kInterventionsAnnotation).size(), 128U * 1024);
  EXPECT_THAT(ReadInterventions(b).entries.front().by, HasSubstr("\\x1b"));
}

TEST(InterventionsTest, WhatIsNoLogIsNone) {
  api::Backfill b;
  for (const char* text : {"", "[]", "{", "{\"entries\": 5}", "{\"entries\": [5]}"}) {
    b.annotations[kInterventionsAnnotation] = text;
    EXPECT_THAT(ReadInterventions(b).entries, IsEmpty()) << text;
  }
  NoteIntervention(b, {"t", "ann", "Paused", ""});
  EXPECT_THAT(ReadInterventions(b).entries, SizeIs(1));
}

class NotedTest : public CommandFixture {
 protected:
  std::vector<std::string> Noted() {
    std::vector<std::string> noted;
    for (const Intervention& i : ReadInterventions(Stored()).entries)
      noted.push_back(i.by + " " + i.what + " " + i.detail);
    return noted;
  }
};

TEST_F(NotedTest, WhatPeopleDoWithIt) {
  Store(FileIn(Phase::kRunning));
  EXPECT_EQ(Run({"pause", "reprice", "--reason", "errors"}), kExitDone);
  EXPECT_EQ(Run({"pause", "reprice"}), kExitDone) << "it is paused already";
  EXPECT_EQ(Run({"resume", "reprice"}), kExitDone);
  EXPECT_EQ(Run({"resume", "reprice"}), kExitDone) << "it is not paused";
  std::string text = kRealRun;
  text.replace(text.find("maxRecordsPerSecond: 500"), 24, "maxRecordsPerSecond: 50");
  WriteFile(text);
  EXPECT_EQ(Run({"apply", "-f", file()}), kExitDone);
  EXPECT_EQ(Run({"apply", "-f", file()}), kExitDone) << "nothing differs";
  EXPECT_THAT(Noted(), ElementsAre("ann Paused errors", "ann Resumed ",
                                   "ann Changed spec.throttle.maxRecordsPerSecond: 500 -> 50"));
}

TEST_F(NotedTest, AFileThatRunChanges) {
  Store(FileIn(Phase::kRunning));
  std::string text = kRealRun;
  text.replace(text.find("maxRecordsPerSecond: 500"), 24, "maxRecordsPerSecond: 50");
  WriteFile(text);
  start_error_ = Error{ErrorCode::kUnavailable, "not today"};
  EXPECT_EQ(Run({"run", "-f", file()}), kExitNotStarted);
  EXPECT_THAT(Noted(), ElementsAre("ann Changed spec.throttle.maxRecordsPerSecond: 500 -> 50"));
}

}  // namespace
}  // namespace backfill::cli
