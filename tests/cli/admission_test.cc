#include "cli/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/golden.h"
#include "tests/cli/samples.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The file from which a stored backfill was made.
api::Backfill FileOf(const api::Backfill& stored) {
  api::Backfill file;
  file.name = stored.name;
  file.ns = stored.ns;
  file.spec = stored.spec;
  return file;
}

TEST(AdmissionTest, CreatesWhatIsNotThere) {
  EXPECT_TRUE(
      std::holds_alternative<AdmitNew>(Admit(std::nullopt, FileOf(SampleIn(Phase::kRunning)))));
}

TEST(AdmissionTest, GoesOnWithTheSameSpec) {
  const api::Backfill stored = SampleIn(Phase::kPaused);  // its pause annotation is no difference
  EXPECT_TRUE(std::holds_alternative<AdmitSame>(Admit(stored, FileOf(stored))));
}

TEST(AdmissionTest, UpdatesWhatMayChange) {
  const api::Backfill stored = SampleIn(Phase::kPaused);
  api::Backfill file = FileOf(stored);
  file.spec.throttle.max_records_per_second = 2000;
  const Admission admission = Admit(stored, file);
  const auto* changed = std::get_if<AdmitChanged>(&admission);
  ASSERT_NE(changed, nullptr);
  EXPECT_THAT(changed->changes,
              ElementsAre(SpecChange{"spec.throttle.maxRecordsPerSecond", "5000", "2000"}));
  EXPECT_EQ(changed->updated.uid, stored.uid);
  EXPECT_TRUE(
      changed->updated.annotations.contains(api::kPausedAnnotation));  // a file does not resume
  EXPECT_EQ(ToString(changed->changes.front()), "spec.throttle.maxRecordsPerSecond: 5000 -> 2000");
}

TEST(AdmissionTest, RefusesOtherWorkOnceItIsPlanned) {
  const api::Backfill stored = SampleIn(Phase::kRunning);
  api::Backfill file = FileOf(stored);
  file.spec.source = api::RangeSource{0, 20'000'000};
  const Admission admission = Admit(stored, file);
  const auto* refused = std::get_if<Refused>(&admission);
  ASSERT_NE(refused, nullptr);
  EXPECT_THAT(refused->reasons.front(), HasSubstr("spec.source"));
}

TEST(AdmissionTest, HasNothingToDoWhereItHasEnded) {
  for (const Phase phase : {Phase::kCompleted, Phase::kFailed}) {
    const api::Backfill stored = SampleIn(phase);
    EXPECT_TRUE(std::holds_alternative<AlreadyEnded>(Admit(stored, FileOf(stored))));
  }
}

TEST(AdmissionTest, RefusesAnotherSpecUnderTheNameOfAnEndedOne) {
  std::string text;
  for (const Phase phase : {Phase::kCompleted, Phase::kFailed}) {
    const api::Backfill stored = SampleIn(phase);
    api::Backfill file = FileOf(stored);
    file.spec.source = api::RangeSource{0, 20'000'000};
    const Admission admission = Admit(stored, file);
    const auto* refused = std::get_if<Refused>(&admission);
    ASSERT_NE(refused, nullptr);
    text += JoinLines(refused->reasons);
  }
  ExpectGolden("refusal_already_ran.txt", text);
}

TEST(SpecChangesTest, AreFoundFieldByField) {
  const api::Backfill before = SampleIn(Phase::kRunning);
  api::Backfill after = before;
  EXPECT_THAT(FindSpecChanges(before, after), IsEmpty());
  after.spec.paused = true;
  after.spec.workers.concurrency = 4;
  after.spec.sharding = api::Sharding{500};
  after.labels["team"] = "payments";
  EXPECT_THAT(
      FindSpecChanges(before, after),
      testing::UnorderedElementsAre(SpecChange{"metadata.labels.team", "", "\"payments\""},
                                    SpecChange{"spec.paused", "false", "true"},
                                    SpecChange{"spec.workers.concurrency", "16", "4"},
                                    SpecChange{"spec.sharding.recordsPerShard", "", "500"}));
}

TEST(SpecChangesTest, NameWhatIsTakenAway) {
  api::Backfill before = SampleIn(Phase::kRunning);
  before.spec.sharding = api::Sharding{500};
  api::Backfill after = before;
  after.spec.sharding.reset();
  EXPECT_THAT(FindSpecChanges(before, after),
              ElementsAre(SpecChange{"spec.sharding.recordsPerShard", "500", ""}));
  EXPECT_EQ(ToString(FindSpecChanges(before, after).front()),
            "spec.sharding.recordsPerShard: 500 -> (not set)");
}

TEST(SpecChangesTest, KeepCredentialsToThemselves) {
  const api::Backfill before = SampleIn(Phase::kPending);
  api::Backfill after = before;
  after.spec.target.headers["Authorization"] = "Bearer s3cret";
  const auto changes = FindSpecChanges(before, after);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(ToString(changes.front()),
            "spec.target.http.headers.Authorization: (not set) -> (hidden)");
}

}  // namespace
}  // namespace backfill::cli
