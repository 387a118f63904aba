#include "base/time_zone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TimeZone Zone(const std::string& name) {
  auto zone = TimeZone::Find(name);
  if (!zone.ok()) ADD_FAILURE() << zone.error().message;
  return std::move(zone).value();
}
WallTime At(const std::string& text) { return ParseWallTime(text).value(); }
// The day of a UTC date.
std::int64_t DayOf(const std::string& date) {
  return std::chrono::floor<std::chrono::hours>(At(date + "T00:00:00Z")).time_since_epoch() /
         std::chrono::hours(24);
}
std::vector<std::string> Instants(const std::string& zone, const std::string& date, int minute) {
  std::vector<std::string> out;
  for (const WallTime t : Zone(zone).InstantsOf(DayOf(date), minute))
    out.push_back(FormatWallTime(t));
  return out;
}

TEST(TimeZoneTest, FindsZonesByTheirNameAlone) {
  for (const char* name : {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"})
    EXPECT_TRUE(TimeZone::Find(name).ok()) << name;
  // The last ones are files that are no zones, or leave the database.
  for (const char* name : {"", "Europe/Atlantis", "europe/berlin ", "localtime", "zone.tab",
                           "../../../etc/passwd", "/usr/share/zoneinfo/UTC", "Europe"}) {
    const auto zone = TimeZone::Find(name);
    ASSERT_FALSE(zone.ok()) << name;
    EXPECT_EQ(zone.error().code, ErrorCode::kInvalid) << name;
  }
}

TEST(TimeZoneTest, TellsDayAndTimeOfDay) {
  // A Sunday in UTC that is a Monday east of it, and still Saturday west of it.
  const LocalTime utc = Zone("UTC").ToLocal(At("2026-11-29T20:30:05Z"));
  EXPECT_EQ(utc, (LocalTime{DayOf("2026-11-29"), 6, 20 * 3600 + 30 * 60 + 5}));
  const LocalTime east = Zone("Asia/Kathmandu").ToLocal(At("2026-11-29T20:30:05Z"));  // +05:45
  EXPECT_EQ(east, (LocalTime{DayOf("2026-11-30"), 0, 2 * 3600 + 15 * 60 + 5}));
  const LocalTime west = Zone("Pacific/Pago_Pago").ToLocal(At("2026-11-29T05:00:00Z"));  // -11:00
  EXPECT_EQ(west, (LocalTime{DayOf("2026-11-28"), 5, 18 * 3600}));
}

TEST(TimeZoneTest, ATimeThatIsSkippedHasNoInstantAndADoubledOneHasTwo) {
  EXPECT_THAT(Instants("Europe/Berlin", "2026-03-29", 2 * 60 + 30), IsEmpty());
  EXPECT_THAT(Instants("Europe/Berlin", "2026-03-29", 3 * 60), ElementsAre("2026-03-29T01:00:00Z"));
  EXPECT_THAT(Instants("Europe/Berlin", "2026-10-25", 2 * 60 + 30),
              ElementsAre("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"));
  // By half an hour only.
  EXPECT_THAT(Instants("Australia/Lord_Howe", "2026-10-04", 2 * 60 + 15), IsEmpty());
  EXPECT_THAT(Instants("UTC", "2026-10-25", 24 * 60), ElementsAre("2026-10-26T00:00:00Z"));
}

TEST(TimeZoneTest, TellsWhenClocksAreSetNext) {
  EXPECT_EQ(FormatWallTime(Zone("Europe/Berlin").NextTransition(At("2026-11-28T00:00:00Z"))),
            "2027-03-28T01:00:00Z");
  EXPECT_GT(Zone("UTC").NextTransition(At("2026-11-28T00:00:00Z")), At("2100-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace backfill
