#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace backfill {
namespace {

using testing::HasSubstr;

// What is written on stderr while `body` runs.
template <typename Body>
std::string Logged(Body body) {
  testing::internal::CaptureStderr();
  body();
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, WritesOneLineOfJsonWithItsFields) {
  const std::string line =
      Logged([] { Log(LogLevel::kWarning, "lease expired", {{"shard", "17"}}); });
  EXPECT_THAT(line, HasSubstr("lease expired"));
  EXPECT_THAT(line, HasSubstr("\"shard\""));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(line.front(), '{');
}

TEST(LogTest, HostileValuesStayInsideTheirLine) {
  const std::string line = Logged(
      [] { Log(LogLevel::kError, "refused", {{"key", "a\"}\n{\"level\": \"x\x1b[31m\\"}}); });
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_THAT(line, HasSubstr("\\\"}"));
}

TEST(LogTest, LinesBelowTheLevelAreDropped) {
  SetLogLevel(LogLevel::kError);
  EXPECT_EQ(Logged([] { Log(LogLevel::kWarning, "quiet"); }), "");
  SetLogLevel(LogLevel::kInfo);
  EXPECT_THAT(Logged([] { Log(LogLevel::kInfo, "loud"); }), HasSubstr("loud"));
}

}  // namespace
}  // namespace backfill
