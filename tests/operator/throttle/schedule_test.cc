#include "operator/throttle/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace backfill::throttle {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t kMon = 1, kFri = 16, kSat = 32, kSun = 64, kEveryDay = 127;

WallTime At(const std::string& text) { return ParseWallTime(text).value(); }
int Minute(const std::string& text) { return std::stoi(text) * 60 + std::stoi(text.substr(3)); }
ScheduleWindow Window(std::uint8_t days, const std::string& from, const std::string& to,
                      std::optional<double> rate = std::nullopt) {
  return {days, Minute(from), Minute(to), rate};
}

// A schedule in the making, and the questions that tests ask it.
struct Made {
  std::string zone = "UTC";
  ScheduleOptions options;
  std::string uid = "";

  Made& Add(const ScheduleWindow& window) {
    options.windows.push_back(window);
    return *this;
  }
  Made& Black(const std::string& from, const std::string& to, const std::string& reason = "") {
    options.blackouts.push_back({At(from), At(to), reason});
    return *this;
  }
  [[nodiscard]] Schedule Build() const { return {options, TimeZone::Find(zone).value(), uid}; }
  [[nodiscard]] ScheduleAnswer Ask(const std::string& when) const { return Build().At(At(when)); }
  // Whether windows and blackouts allow it, an hour of the clock or more after they changed.
  [[nodiscard]] bool Open(const std::string& when) const { return !Ask(when).paused; }
  [[nodiscard]] std::string Next(const std::string& when) const {
    const auto next = Ask(when).next_change;
    return next ? FormatWallTime(*next) : "never";
  }
  // From a window's opening, how many minutes of it are open until `to`.
  [[nodiscard]] int OpenMinutes(const std::string& from, const std::string& to) const {
    const Schedule schedule = Build();
    int minutes = 0;
    for (WallTime t = At(from); t < At(to); t += 1min) {
      const ScheduleState state = schedule.At(t).state;
      minutes += state == ScheduleState::kOutside || state == ScheduleState::kBlackout ? 0 : 1;
    }
    return minutes;
  }
};
Made In(const std::string& zone) { return Made{.zone = zone, .options = {}}; }

TEST(ScheduleTest, NothingDeclaredLimitsNothing) {
  const ScheduleAnswer answer = Made{}.Ask("2026-11-28T12:00:00Z");
  EXPECT_FALSE(answer.paused);
  EXPECT_EQ(answer.limit, std::nullopt);
  EXPECT_EQ(answer.reason, "");
  EXPECT_EQ(answer.next_change, std::nullopt);
}

TEST(ScheduleTest, AWindowIsInLocalTime) {
  const Made berlin = In("Europe/Berlin").Add(Window(kEveryDay, "01:00", "05:00"));
  EXPECT_FALSE(berlin.Open("2026-01-14T23:59:59Z"));  // +01:00
  EXPECT_TRUE(berlin.Open("2026-01-15T00:30:00Z"));
  EXPECT_FALSE(berlin.Open("2026-01-15T04:00:00Z"));
  EXPECT_TRUE(berlin.Open("2026-07-15T00:00:00Z"));  // +02:00
  EXPECT_FALSE(berlin.Open("2026-07-15T03:00:00Z"));
  const Made kathmandu = In("Asia/Kathmandu").Add(Window(kEveryDay, "01:00", "05:00"));
  EXPECT_FALSE(kathmandu.Open("2026-01-14T19:14:59Z"));
  EXPECT_TRUE(kathmandu.Open("2026-01-14T20:15:00Z"));
}

TEST(ScheduleTest, AWindowOverMidnightBelongsToTheDayOnWhichItBegins) {
  const Made friday = In("Europe/Berlin").Add(Window(kFri, "22:00", "06:00"));
  EXPECT_FALSE(friday.Open("2026-11-27T20:59:59Z"));  // a Friday, 21:59 there
  EXPECT_TRUE(friday.Open("2026-11-27T22:00:00Z"));
  EXPECT_TRUE(friday.Open("2026-11-28T04:00:00Z"));  // Saturday, 05:00
  EXPECT_FALSE(friday.Open("2026-11-28T05:00:00Z"));
  EXPECT_FALSE(friday.Open("2026-11-28T22:00:00Z"));  // Saturday, 23:00
  EXPECT_FALSE(friday.Open("2026-11-27T03:00:00Z"));  // Friday morning is Thursday's
  EXPECT_EQ(friday.Next("2026-11-27T22:00:00Z"), "2026-11-28T05:00:00Z");
  EXPECT_EQ(friday.Next("2026-11-28T05:00:00Z"), "2026-12-04T21:00:00Z");
}

TEST(ScheduleTest, AWindowThatEndsAtMidnightTouchesTheNext) {
  const Made weekend = Made{}.Add(Window(kSat | kSun, "00:00", "24:00"));
  EXPECT_TRUE(weekend.Open("2026-11-28T23:59:59Z"));
  EXPECT_TRUE(weekend.Open("2026-11-29T00:00:00Z"));
  EXPECT_EQ(weekend.Ask("2026-11-28T23:59:59Z").closes_at, At("2026-11-30T00:00:00Z"))
      << "it does not close in between";
  EXPECT_EQ(weekend.Next("2026-11-28T12:00:00Z"), "2026-11-30T00:00:00Z");
}

TEST(ScheduleTest, ASkippedHourShortensAWindow) {
  // Clocks go from 02:00 to 03:00.
  const Made berlin = In("Europe/Berlin").Add(Window(kEveryDay, "01:30", "03:30"));
  EXPECT_EQ(berlin.OpenMinutes("2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z"), 60);
  EXPECT_EQ(berlin.OpenMinutes("2026-03-30T00:00:00Z", "2026-03-30T12:00:00Z") +
                berlin.OpenMinutes("2026-03-29T23:00:00Z", "2026-03-30T00:00:00Z"),
            120);
  EXPECT_EQ(berlin.Next("2026-03-29T00:40:00Z"), "2026-03-29T01:30:00Z");
}

TEST(ScheduleTest, AWindowWithinASkippedHourDoesNotOpenThatDay) {
  const Made berlin = In("Europe/Berlin").Add(Window(kSun, "02:00", "03:00"));
  EXPECT_EQ(berlin.OpenMinutes("2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z"), 0);
  EXPECT_EQ(berlin.Next("2026-03-28T12:00:00Z"), "2026-04-05T00:00:00Z");
  const Made york = In("America/New_York").Add(Window(kSun, "02:00", "03:00"));
  EXPECT_EQ(york.OpenMinutes("2026-03-08T05:00:00Z", "2026-03-08T12:00:00Z"), 0);
}

TEST(ScheduleTest, ADoubledHourLengthensAWindow) {
  // Clocks go from 03:00 back to 02:00.
  const Made berlin = In("Europe/Berlin").Add(Window(kEveryDay, "01:30", "03:30"));
  EXPECT_EQ(berlin.OpenMinutes("2026-10-24T23:00:00Z", "2026-10-25T12:00:00Z"), 180);
  const Made hour = In("Europe/Berlin").Add(Window(kSun, "02:00", "03:00"));
  EXPECT_EQ(hour.OpenMinutes("2026-10-24T23:00:00Z", "2026-10-25T12:00:00Z"), 120);
  EXPECT_EQ(hour.Next("2026-10-25T00:10:00Z"), "2026-10-25T02:00:00Z");
  const Made york = In("America/New_York").Add(Window(kSun, "01:00", "02:00"));
  EXPECT_EQ(york.OpenMinutes("2026-11-01T04:00:00Z", "2026-11-01T12:00:00Z"), 120);
}

TEST(ScheduleTest, AWindowThatEndsWithinADoubledHourOpensTwice) {
  const Made berlin = In("Europe/Berlin").Add(Window(kSun, "01:00", "02:30"));
  EXPECT_EQ(berlin.Next("2026-10-24T23:30:00Z"), "2026-10-25T00:30:00Z");
  EXPECT_EQ(berlin.Next("2026-10-25T00:40:00Z"), "2026-10-25T01:00:00Z");  // 02:00 again
  EXPECT_EQ(berlin.Next("2026-10-25T01:10:00Z"), "2026-10-25T01:30:00Z");
  EXPECT_EQ(berlin.OpenMinutes("2026-10-24T22:00:00Z", "2026-10-25T12:00:00Z"), 120);
}

TEST(ScheduleTest, HalfAnHourOfLordHoweCounts) {
  const Made howe = In("Australia/Lord_Howe").Add(Window(kSun, "01:30", "03:00"));
  EXPECT_EQ(howe.OpenMinutes("2026-10-03T12:00:00Z", "2026-10-04T12:00:00Z"), 60);
  EXPECT_EQ(howe.OpenMinutes("2026-04-04T12:00:00Z", "2026-04-05T12:00:00Z"), 120);
}

TEST(ScheduleTest, OutsideItMayGoOnSlowly) {
  Made made = Made{}.Add(Window(kMon, "08:00", "09:00"));
  made.options.outside = 200;
  const ScheduleAnswer outside = made.Ask("2026-11-28T12:00:00Z");
  EXPECT_EQ(outside.state, ScheduleState::kOutside);
  EXPECT_FALSE(outside.paused);
  EXPECT_EQ(outside.limit, 200);
  EXPECT_EQ(outside.reason, "outside of the windows of the schedule until 2026-11-30T08:00:00Z");
  EXPECT_EQ(made.Ask("2026-11-30T08:00:00Z").state, ScheduleState::kOpen) << "nor reopens";
  EXPECT_EQ(made.Ask("2026-11-30T08:30:00Z").limit, std::nullopt);
}

TEST(ScheduleTest, OfWindowsThatOverlapTheMoreCarefulOneCounts) {
  const Made made = Made{}
                        .Add(Window(kSat, "00:00", "24:00", 3000))
                        .Add(Window(kSat, "10:00", "12:00", 50))
                        .Add(Window(kSat, "11:00", "13:00"));
  EXPECT_EQ(made.Ask("2026-11-28T09:00:00Z").limit, 3000);
  EXPECT_EQ(made.Ask("2026-11-28T10:00:00Z").limit, 50);
  EXPECT_EQ(made.Ask("2026-11-28T11:30:00Z").limit, 50);
  EXPECT_EQ(made.Ask("2026-11-28T12:30:00Z").limit, 3000);
  EXPECT_EQ(made.Next("2026-11-28T10:30:00Z"), "2026-11-28T12:00:00Z");
}

TEST(ScheduleTest, ABlackoutIsAboveTheWindows) {
  Made made = Made{}.Black("2026-11-27T00:00:00Z", "2026-11-30T00:00:00Z", "peak weekend");
  made.Add(Window(kEveryDay, "00:00", "24:00"));
  made.options.outside = 10;
  const ScheduleAnswer during = made.Ask("2026-11-28T12:00:00Z");
  EXPECT_EQ(during.state, ScheduleState::kBlackout);
  EXPECT_TRUE(during.paused);
  EXPECT_EQ(during.reason, "blackout until 2026-11-30T00:00:00Z: peak weekend");
  EXPECT_TRUE(made.Open("2026-11-26T23:00:00Z"));
  EXPECT_TRUE(made.Open("2026-11-30T00:01:00Z"));
  EXPECT_FALSE(made.Open("2026-11-29T23:59:59Z")) << "it is half-open";
}

TEST(ScheduleTest, ABlackoutInAYearIsKnownToday) {
  const Made made = Made{}.Black("2027-11-26T00:00:00Z", "2027-11-29T00:00:00Z");
  EXPECT_EQ(made.Next("2026-11-28T12:00:00Z"), "2027-11-26T00:00:00Z");
  EXPECT_EQ(made.Next("2027-11-27T12:00:00Z"), "2027-11-29T00:00:00Z");
  EXPECT_EQ(made.Next("2027-11-30T12:00:00Z"), "never");
}

TEST(ScheduleTest, BlackoutsThatTouchAreOne) {
  const Made made = Made{}
                        .Black("2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z")
                        .Black("2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z");
  EXPECT_FALSE(made.Open("2026-11-28T00:00:00Z"));
  EXPECT_TRUE(made.Open("2026-11-29T00:01:00Z"));
}

TEST(ScheduleTest, TellsWhenItClosesButNotWhenOnlyTheRateChanges) {
  Made made = Made{}.Add(Window(kSat, "08:00", "09:00"));
  EXPECT_EQ(made.Ask("2026-11-28T08:30:00Z").closes_at, At("2026-11-28T09:00:00Z"));
  EXPECT_EQ(made.Ask("2026-11-28T07:30:00Z").closes_at, std::nullopt) << "it is closed";
  made.options.outside = 5;
  EXPECT_EQ(made.Ask("2026-11-28T08:30:00Z").closes_at, std::nullopt);
  made.Black("2026-11-28T08:45:00Z", "2026-11-28T10:00:00Z");
  EXPECT_EQ(made.Ask("2026-11-28T08:30:00Z").closes_at, At("2026-11-28T08:45:00Z"));
}

TEST(ScheduleTest, BeginsAgainWithinAMinuteEachBackfillAtItsOwnTime) {
  Made made = Made{}.Add(Window(kSat, "08:00", "09:00"));
  std::set<std::int64_t> delays;
  for (int i = 0; i < 50; ++i) {
    made.uid = "uid-" + std::to_string(i);
    const Schedule schedule = made.Build();
    const auto delay = schedule.ReopeningDelay();
    ASSERT_GE(delay, 0s);
    ASSERT_LT(delay, 60s);
    const WallTime opens =
        At("2026-11-28T08:00:00Z") + std::chrono::duration_cast<WallTime::duration>(delay);
    if (delay > 0s) {
      const ScheduleAnswer before = schedule.At(opens - 1s);
      EXPECT_TRUE(before.paused);
      EXPECT_EQ(before.state, ScheduleState::kReopening);
      EXPECT_EQ(before.next_change, opens);
    }
    EXPECT_FALSE(schedule.At(opens).paused);
    delays.insert(delay / 1s);
  }
  EXPECT_GT(delays.size(), 20U) << "they are spread";
}

TEST(ScheduleTest, ADelayIsTheSameAfterARestart) {
  Made made;
  made.uid = "5f0c4a2e-7a61-4d28-9f6b-0a9b1de1c3aa";
  EXPECT_EQ(made.Build().ReopeningDelay(), made.Build().ReopeningDelay());
  EXPECT_EQ(made.Build().ReopeningDelay(), 34s) << "on every machine, in every version";
}

TEST(ScheduleTest, NextChangeIsWhereTheAnswerChangesAndNowhereBefore) {
  static constexpr std::array kZones = {"UTC", "Europe/Berlin", "America/New_York",
                                        "Australia/Lord_Howe", "Asia/Kathmandu"};
  EXPECT_TRUE(rc::check("no change is overlooked", [] {
    Made made;
    made.zone = kZones.at(*rc::gen::inRange<std::size_t>(0, kZones.size()));
    const int windows = *rc::gen::inRange(1, 4);
    for (int i = 0; i < windows; ++i) {
      made.Add({*rc::gen::inRange<std::uint8_t>(1, 128), *rc::gen::inRange(0, 1440),
                *rc::gen::inRange(0, 1441),
                *rc::gen::element(std::optional<double>(), std::optional<double>(5))});
    }
    // About the days on which clocks are set in 2026, in every zone.
    const WallTime now =
        At("2026-03-01T00:00:00Z") + std::chrono::minutes(*rc::gen::inRange(0, 250 * 24 * 60));
    const Schedule schedule = made.Build();
    const auto settled = [&schedule](WallTime t) {
      ScheduleAnswer answer = schedule.At(t);
      const bool ramps = answer.state == ScheduleState::kReopening;
      return std::tuple(ramps ? false : answer.paused, answer.state == ScheduleState::kOutside,
                        answer.limit);
    };
    ScheduleAnswer answer = schedule.At(now);
    if (answer.state == ScheduleState::kReopening || !answer.next_change) return;
    const WallTime end = std::min(*answer.next_change, now + std::chrono::hours(30));
    for (WallTime t = now; t < end; t += std::chrono::minutes(13))
      RC_ASSERT(settled(t) == settled(now));
    if (end == *answer.next_change) RC_ASSERT(settled(end) != settled(now));
  }));
}

}  // namespace
}  // namespace backfill::throttle
