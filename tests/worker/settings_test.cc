#include "worker/settings.h"

#include <map>

namespace backfill::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SettingsTest : public ::testing::Test {
 protected:
  Result<Settings> Read() {
    return ReadSettings([this](const char* name) -> std::optional<std::string> {
      const auto it = environment_.find(name);
      if (it == environment_.end()) return std::nullopt;
      return it->second;
    });
  }
  std::map<std::string, std::string> environment_ = {{"BACKFILL_COORDINATOR", "unix:/x"},
                                                     {"BACKFILL_TOKEN", "s3cret"},
                                                     {"BACKFILL_UID", "u"},
                                                     {"BACKFILL_STAGE", "dry-run"},
                                                     {"BACKFILL_WORKER", "run-0"}};
};

TEST_F(SettingsTest, MakesAnInstanceIfNoneIsGiven) {
  const auto first = Read();
  const auto second = Read();
  ASSERT_TRUE(first.ok());
  EXPECT_NE(first->instance, "");
  EXPECT_NE(first->instance, second->instance);
  environment_["BACKFILL_INSTANCE"] = "i7";
  EXPECT_EQ(Read()->instance, "i7");
}

TEST_F(SettingsTest, NamesWhatIsMissingOrWrongAndNeverAValue) {
  for (const char* name : {"BACKFILL_COORDINATOR", "BACKFILL_TOKEN", "BACKFILL_UID",
                           "BACKFILL_STAGE", "BACKFILL_WORKER"}) {
    const std::string value = std::exchange(environment_[name], "");
    const auto settings = Read();
    ASSERT_FALSE(settings.ok());
    EXPECT_THAT(settings.error().message, HasSubstr(name));
    EXPECT_THAT(settings.error().message, Not(HasSubstr("s3cret")));
    environment_[name] = value;
  }
  environment_["BACKFILL_STAGE"] = "verify";
  EXPECT_THAT(Read().error().message, HasSubstr("BACKFILL_STAGE"));
}

TEST_F(SettingsTest, WhatIsInheritedIsADescriptor) {
  EXPECT_EQ(Read()->sent_fd, std::nullopt);
  environment_["BACKFILL_LIFELINE_FD"] = "3";
  environment_["BACKFILL_SENT_FD"] = "5";
  EXPECT_EQ(Read()->lifeline_fd, 3);
  EXPECT_EQ(Read()->sent_fd, 5);
  for (const char* name : {"BACKFILL_LIFELINE_FD", "BACKFILL_SENT_FD"}) {
    for (const char* bad : {"x", "-1", "3x", "99999999999"}) {
      environment_[name] = bad;
      EXPECT_FALSE(Read().ok()) << bad;
    }
    environment_.erase(name);
  }
}

}  // namespace
}  // namespace backfill::worker
