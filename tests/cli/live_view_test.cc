#include "cli/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "cli/terminal_text.h"
#include "tests/cli/golden.h"
#include "tests/cli/samples.h"

namespace backfill::cli {
namespace {

using api::Phase;
using testing::HasSubstr;
using testing::Not;

constexpr Phase kAllPhases[] = {Phase::kPending,          Phase::kPlanning, Phase::kDryRunning,
                                Phase::kAwaitingApproval, Phase::kRunning,  Phase::kPaused,
                                Phase::kCompleted,        Phase::kFailed};

// Every phase, so that a golden file is the whole look at one width.
std::string Gallery(int width, bool color) {
  std::string out;
  for (const Phase phase : kAllPhases) {
    const ViewState state{.now = Noon(), .color = color, .notes = {}};
    out += JoinLines(RenderLive(SampleIn(phase), state, width)) + "\n";
  }
  return out;
}

TEST(LiveViewTest, FitsNarrowUsualAndWideTerminals) {
  ExpectGolden("live_40.txt", Gallery(40, false));
  ExpectGolden("live_80.txt", Gallery(80, false));
  ExpectGolden("live_200.txt", Gallery(200, false));
}

TEST(LiveViewTest, UsesColorsWhereTheyAreWanted) {
  ExpectGolden("live_40_color.txt", Gallery(40, true));
  ExpectGolden("live_80_color.txt", Gallery(80, true));
  ExpectGolden("live_200_color.txt", Gallery(200, true));
}

TEST(LiveViewTest, HasALineForLogs) {
  std::string out;
  for (const Phase phase : kAllPhases) {
    out += RenderLine(SampleIn(phase), {.now = Noon(), .color = false, .notes = {}}) + "\n";
  }
  out += RenderLine(SampleIn(Phase::kRunning),
                    {.now = Noon(), .color = false, .notes = {"the disk is full; trying again"}}) +
         "\n";
  ExpectGolden("plain_lines.txt", out);
}

TEST(LiveViewTest, NeverExceedsTheWidthWhateverTheTextSays) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    api::Backfill b = SampleIn(
        *rc::gen::elementOf(std::vector<Phase>(std::begin(kAllPhases), std::end(kAllPhases))));
    const int width = *rc::gen::inRange(20, 220);
    b.name = text;
    b.annotations[api::kPausedAnnotation] = text;
    if (b.status.rate) b.status.rate->limited_by = text;
    SetCondition(b, "Stalled", api::ConditionStatus::kTrue, text, text);
    for (const std::string& line :
         RenderLive(b, {.now = Noon(), .color = false, .notes = {Printable(text)}}, width)) {
      RC_ASSERT(Columns(line) <= static_cast<std::size_t>(width));
      RC_ASSERT(Printable(line) == line);
    }
  }));
}

TEST(LiveViewTest, SurvivesFiguresThatMakeNoSense) {
  api::Backfill b = SampleIn(Phase::kRunning);
  b.status.plan->records = 5;
  b.status.rate = api::RateStatus{-1, -1, ""};
  b.status.eta = "tomorrow";
  const std::string text =
      JoinLines(RenderLive(b, {.now = Noon(), .color = false, .notes = {}}, -7));
  EXPECT_THAT(text, HasSubstr("100.0 %"));
  EXPECT_THAT(text, Not(HasSubstr("left")));
}

TEST(LiveViewTest, SaysWhyItIsNotAsFastAsItCouldBe) {
  api::Backfill b = SampleIn(Phase::kRunning);
  SetCondition(b, "Ready", api::ConditionStatus::kTrue, "Running",
               "2 shards wait 12 s for requests of lost workers to end");
  EXPECT_THAT(RenderLine(b, {.now = Noon(), .color = false, .notes = {}}),
              HasSubstr("2 shards wait 12 s for requests of lost workers to end"));
}

TEST(LiveViewTest, SaysWhatIsWaitedForOnlyOnce) {
  api::Backfill b = SampleIn(Phase::kFailed);
  EXPECT_EQ(NoticesOf(b).size(), 1U);  // Ready and Stalled say the same
  EXPECT_TRUE(NoticesOf(b).front().serious);
}

TEST(ProgressBarTest, IsFullWhenEverythingIsDoneAndNotBefore) {
  EXPECT_EQ(ProgressBar(0, 100, 12), "[          ]");
  EXPECT_EQ(ProgressBar(1, 100, 12), "[>         ]");
  EXPECT_EQ(ProgressBar(50, 100, 12), "[=====>    ]");
  EXPECT_EQ(ProgressBar(9'999'999, 10'000'000, 12), "[=========>]");
  EXPECT_EQ(ProgressBar(100, 100, 12), "[==========]");
  EXPECT_EQ(ProgressBar(0, 0, 12), "[          ]");
  EXPECT_EQ(Percent(9'999'999, 10'000'000), "99.9 %");
  EXPECT_EQ(Percent(10'000'000, 10'000'000), "100.0 %");
  EXPECT_EQ(Percent(0, 0), "0.0 %");
}

TEST(ProgressBarTest, HasItsWidthWhateverTheNumbers) {
  EXPECT_TRUE(rc::check([](std::uint64_t done, std::uint64_t total) {
    const auto columns = *rc::gen::inRange<std::size_t>(0, 100);
    RC_ASSERT(ProgressBar(done, total, columns).size() == columns);
    RC_ASSERT((Percent(done, total) == "100.0 %") == (total > 0 && done >= total));
  }));
}

}  // namespace
}  // namespace backfill::cli
