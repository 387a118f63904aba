#include "operator/app/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace backfill::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SettingsTest : public ::testing::Test {
 protected:
  // With what has no default.
  static Result<Settings> Read(std::vector<std::string> more) {
    more.insert(more.begin(), {"--namespace", "backfill-system", "--worker-image", "worker:1"});
    const Result<Invocation> read = ReadInvocation(more);
    if (!read.ok()) return read.error();
    if (!read->run) return Error{ErrorCode::kInvalid, read->text};
    return *read->run;
  }
  static std::string WhyNot(std::vector<std::string> more) {
    const auto read = Read(std::move(more));
    return read.ok() ? "accepted" : read.error().message;
  }
  void Set(const char* name, const char* value) {
    setenv(name, value, 1);
    set_.emplace_back(name);
  }
  void TearDown() override {
    for (const std::string& name : set_) unsetenv(name.c_str());
  }
  std::vector<std::string> set_;
};

TEST_F(SettingsTest, HasTheDefaultsOfTheDesign) {
  const auto read = Read({});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->lease_duration, 5s);
  EXPECT_EQ(read->renew_deadline, 3s);
  EXPECT_EQ(read->retry_period, 1s);
  EXPECT_EQ(read->status_period, 5s);
  EXPECT_EQ(read->probes_port, 8080);
  EXPECT_EQ(read->coordinator_address, "dns:///backfill-coordinator.backfill-system.svc:9443");
  EXPECT_EQ(read->coordinator_service, "backfill-coordinator");
  EXPECT_THAT(read->watch_namespaces, IsEmpty());
  EXPECT_EQ(read->worker_idle_timeout, 15min);
  EXPECT_EQ(read->worker_ttl, 1h);
  EXPECT_EQ(read->worker_resources, "");
  EXPECT_EQ(read->grpc_max_connection_age, 30min);
}

TEST_F(SettingsTest, TheDecisionLogHasASize) {
  EXPECT_EQ(Read({})->decision_log_dir, "");
  const auto read =
      Read({"--decision-log-dir", "/var/log/backfill", "--decision-log-mebibytes", "64"});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->decision_log_dir, "/var/log/backfill");
  EXPECT_EQ(read->decision_log_mebibytes, 64);
  EXPECT_THAT(WhyNot({"--decision-log-mebibytes", "0"}), HasSubstr("--decision-log-mebibytes"));
}

TEST_F(SettingsTest, TheGlassIsWholeUnlessItIsSaid) {
  EXPECT_FALSE(Read({})->break_glass);
  EXPECT_TRUE(Read({"--break-glass"})->break_glass);
}

TEST_F(SettingsTest, WhatWorkersGetIsReadAsItStands) {
  const std::string resources = R"({"requests":{"cpu":"2","memory":"1Gi"},"limits":{"cpu":2.5}})";
  const auto read = Read({"--worker-resources", resources, "--worker-idle-timeout", "90s",
                          "--worker-ttl", "60s", "--grpc-max-connection-age", "10s"});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->worker_resources, resources);
  EXPECT_EQ(read->worker_idle_timeout, 90s);
  EXPECT_EQ(read->worker_ttl, 60s);
  EXPECT_EQ(read->grpc_max_connection_age, 10s);
}

// As the chart's schema has them.
TEST_F(SettingsTest, ATimeMayHaveSeveralUnits) {
  for (const auto& [text, length] : std::vector<std::pair<std::string, Duration>>{
           {"1m30s", 90s}, {"1s500ms", 1500ms}, {"86400s", 24h}, {"1440m", 24h}, {"0h1s", 1s}}) {
    const auto read = Read({"--drain-timeout", text});
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->drain_timeout, length) << text;
  }
  for (const std::string text :
       {"", "s", "1", "1m30", "1d", "1.5s", "-1s", "25h", "24h1ms", "999999999s", "1m s"})
    EXPECT_THAT(WhyNot({"--drain-timeout=" + text}), HasSubstr("--drain-timeout")) << text;
}

TEST_F(SettingsTest, TheServiceIsTheFirstNameOfTheAddress) {
  const auto read = Read({"--coordinator-address", "dns:///mine.elsewhere.svc:1234"});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->coordinator_service, "mine");
  EXPECT_THAT(WhyNot({"--coordinator-address", "dns:///"}), HasSubstr("--coordinator-address"));
}

TEST_F(SettingsTest, AFlagWinsOverItsVariable) {
  Set("BACKFILL_OPERATOR_LEASE_NAME", "from-variable");
  Set("BACKFILL_OPERATOR_STATUS_PERIOD", "250ms");
  Set("BACKFILL_OPERATOR_WATCH_NAMESPACES", "shop,other");
  const auto read = Read({"--lease-name", "from-flag"});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->lease_name, "from-flag");
  EXPECT_EQ(read->status_period, 250ms);
  EXPECT_THAT(read->watch_namespaces, ElementsAre("shop", "other"));
}

TEST_F(SettingsTest, AnEmptyVariableIsAnEmptyList) {
  Set("BACKFILL_OPERATOR_WATCH_NAMESPACES", "");
  const auto read = Read({});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_THAT(read->watch_namespaces, IsEmpty());
}

TEST_F(SettingsTest, RefusesWithTheFlagAndWhatItTakes) {
  EXPECT_THAT(WhyNot({"--renew-deadline", "5s"}), HasSubstr("--lease-duration must be longer"));
  EXPECT_THAT(WhyNot({"--retry-period", "3s"}), HasSubstr("--renew-deadline must be longer"));
  EXPECT_THAT(WhyNot({"--lease-duration", "5500ms"}), HasSubstr("whole seconds"));
  EXPECT_THAT(WhyNot({"--drain-timeout", "soon"}),
              AllOf(HasSubstr("--drain-timeout"), HasSubstr("250ms, 5s or 2m")));
  EXPECT_THAT(WhyNot({"--status-period", "0s"}), HasSubstr("--status-period"));
  EXPECT_THAT(WhyNot({"--status-period", "99999999999999999999s"}), HasSubstr("--status-period"));
  EXPECT_THAT(WhyNot({"--tls-mode", "None"}), HasSubstr("--tls-mode"));
  EXPECT_THAT(WhyNot({"--tls-mode", "Secret"}), HasSubstr("--tls-dir"));
  EXPECT_THAT(WhyNot({"--probes-listen", "10.0.0.1:8080"}), HasSubstr("--probes-listen"));
  EXPECT_THAT(WhyNot({"--probes-listen", "0.0.0.0:99999"}), HasSubstr("--probes-listen"));
  EXPECT_THAT(WhyNot({"--reconcile-workers", "0"}), HasSubstr("--reconcile-workers"));
  EXPECT_THAT(WhyNot({"--worker-ttl", "59s"}), HasSubstr("60s at least"));
  EXPECT_THAT(WhyNot({"--worker-ttl", "60500ms"}), HasSubstr("whole seconds"));
  EXPECT_THAT(WhyNot({"--worker-idle-timeout", "0s"}), HasSubstr("--worker-idle-timeout"));
  EXPECT_THAT(WhyNot({"--grpc-max-connection-age", "9s"}), HasSubstr("10s at least"));
  for (const std::string resources :
       {"requests", "[]", "{\"requests\":", R"({"claims":[]})", R"({"limits":"1Gi"})",
        R"({"limits":{"memory":{}}})", R"({"limits":{"memory":true}})"})
    EXPECT_THAT(WhyNot({"--worker-resources", resources}), HasSubstr("--worker-resources: "))
        << resources;
  EXPECT_THAT(WhyNot({"--worker-resources", std::string(5000, '[')}),
              HasSubstr("must be a JSON object"));
  EXPECT_THAT(WhyNot({"--unknown"}), AllOf(HasSubstr("--unknown"), HasSubstr("--help")));
  const auto nothing = ReadInvocation({});
  ASSERT_FALSE(nothing.ok());
  EXPECT_THAT(nothing.error().message, HasSubstr("is required"));
}

TEST_F(SettingsTest, HelpAndVersionRunNothing) {
  const auto help = ReadInvocation({"--help"});
  ASSERT_TRUE(help.ok());
  EXPECT_FALSE(help->run);
  EXPECT_THAT(help->text, AllOf(HasSubstr("--lease-duration"), HasSubstr("Examples:")));
  const auto version = ReadInvocation({"--version"});
  ASSERT_TRUE(version.ok());
  EXPECT_THAT(version->text, HasSubstr("backfill-operator "));
}

}  // namespace
}  // namespace backfill::app
