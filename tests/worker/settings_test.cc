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
  environment_["BACKFILL_STAGE"] = "plan";
  EXPECT_TRUE(Read().ok());
  environment_["BACKFILL_STAGE"] = "verify";
  EXPECT_THAT(Read().error().message, HasSubstr("BACKFILL_STAGE"));
}

// As the pod of a Job has it.
TEST_F(SettingsTest, ThePodOfAJobIsTheSlotOfItsPoolAndIndex) {
  environment_ = {{"BACKFILL_COORDINATOR", "dns:///backfill-coordinator.backfill-system.svc:9443"},
                  {"BACKFILL_TOKEN_FILE", "/var/run/secrets/backfill.dev/token"},
                  {"BACKFILL_CA_FILE", "/var/run/secrets/backfill.dev/ca.crt"},
                  {"BACKFILL_UID", "u"},
                  {"BACKFILL_STAGE", "run"},
                  {"BACKFILL_POOL", "2"},
                  {"JOB_COMPLETION_INDEX", "7"},
                  {"BACKFILL_POD_UID", "p1"},
                  {"BACKFILL_NAMESPACE", "shop"},
                  {"BACKFILL_NAME", "reprice"}};
  const auto settings = Read();
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_EQ(settings->worker, "run-1007");
  EXPECT_EQ(settings->instance, "p1");
  EXPECT_EQ(settings->token, "");
  EXPECT_EQ(settings->token_file, "/var/run/secrets/backfill.dev/token");
  EXPECT_EQ(settings->ca_file, "/var/run/secrets/backfill.dev/ca.crt");
  EXPECT_EQ(settings->ns + "/" + settings->name, "shop/reprice");
  for (const auto& [name, bad] :
       std::vector<std::pair<std::string, std::string>>{{"BACKFILL_POOL", "6"},
                                                        {"BACKFILL_POOL", "-1"},
                                                        {"BACKFILL_POOL", "x"},
                                                        {"JOB_COMPLETION_INDEX", "500"},
                                                        {"JOB_COMPLETION_INDEX", ""},
                                                        {"JOB_COMPLETION_INDEX", "1x"}}) {
    const std::string good = std::exchange(environment_[name], bad);
    const auto refused = Read();
    ASSERT_FALSE(refused.ok()) << name << " " << bad;
    EXPECT_THAT(refused.error().message, HasSubstr(name));
    environment_[name] = good;
  }
}

TEST_F(SettingsTest, ANetworkNeedsAnAuthorityToTrust) {
  environment_["BACKFILL_COORDINATOR"] = "coordinator:9443";
  ASSERT_FALSE(Read().ok());
  EXPECT_THAT(Read().error().message, HasSubstr("BACKFILL_CA_FILE"));
  environment_["BACKFILL_CA_FILE"] = "/ca.crt";
  EXPECT_TRUE(Read().ok());
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
