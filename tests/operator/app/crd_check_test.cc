#include "operator/app/crd_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/fakes/fake_api_server.h"

namespace backfill::app {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CrdCheckTest : public ::testing::Test {
 protected:
  // A server whose CRD of backfills has a status with these fields, and one more of conditions.
  void Serve(const nlohmann::json& status) {
    const auto kind = [](const std::string& name, const nlohmann::json& properties) {
      return nlohmann::json{
          {"type", "object"},
          {"properties", properties},
          {"x-kubernetes-group-version-kind",
           {{{"group", "backfill.dev"}, {"kind", name}, {"version", "v1alpha1"}}}}};
    };
    const nlohmann::json any{{"type", "integer"}};
    const nlohmann::json document{
        {"components",
         {{"schemas",
           {{"dev.backfill.v1alpha1.Backfill",
             kind("Backfill", {{"status", {{"type", "object"}, {"properties", status}}}})},
            {"dev.backfill.v1alpha1.BackfillLedger", kind("BackfillLedger", {{"epoch", any},
                                                                             {"seq", any},
                                                                             {"chunks", any},
                                                                             {"writer", any},
                                                                             {"data", any}})}}}}}};
    server_.ServeDocument("/openapi/v3/apis/backfill.dev/v1alpha1", document.dump());
  }
  static nlohmann::json EverythingButConditions() {
    return nlohmann::json::parse(
        R"({"observedGeneration":{},"phase":{},"dryRun":{},"rate":{},"workers":{},"report":{},"display":{},)"
        R"("plan":{"type":"object","properties":{"hash":{},"shards":{},"records":{},"workerImage":{}}},)"
        R"("progress":{"type":"object","properties":{"records":{},"failed":{},"shardsDone":{}}}})");
  }
  static nlohmann::json Everything() {
    nlohmann::json all = EverythingButConditions();
    all["conditions"] = nlohmann::json::parse(
        R"({"type":"array","items":{"type":"object","properties":{"type":{},"status":{},"reason":{},)"
        R"("message":{},"observedGeneration":{},"lastTransitionTime":{}}}})");
    return all;
  }
  std::string Check() {
    const Status found = CheckCrds(api_, {.deadline = clock_.Steady() + 10s});
    return found.ok() ? "in order"
                      : std::string(ToString(found.error().code)) + ": " + found.error().message;
  }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  kube::ApiClient api_{server_, nullptr};
};

TEST_F(CrdCheckTest, R31_NamesTheFieldsThatAnOldCrdLacks) {
  Serve(Everything());
  EXPECT_EQ(Check(), "in order");
  Serve(EverythingButConditions());
  EXPECT_THAT(Check(), AllOf(HasSubstr("invalid: CRDOutdated"), HasSubstr("status.conditions.type"),
                             Not(HasSubstr("status.phase"))));
}

TEST_F(CrdCheckTest, WhatCannotBeToldIsNotInOrder) {
  server_.GoDown();
  EXPECT_THAT(Check(), HasSubstr("unavailable"));
}

TEST_F(CrdCheckTest, WhatPassesIsNoWarningAndWhatLastsIsOne) {
  const Error away{ErrorCode::kNotFound, "404"};
  EXPECT_EQ(LevelOf(away, 0s), LogLevel::kInfo);
  EXPECT_EQ(LevelOf(away, 29s), LogLevel::kInfo);
  EXPECT_EQ(LevelOf(away, 30s), LogLevel::kWarning);
  EXPECT_EQ(LevelOf({ErrorCode::kInvalid, "CRDOutdated"}, 0s), LogLevel::kError);
}

TEST_F(CrdCheckTest, TheGateOpensOnceTheCrdsAreInOrder) {
  const SystemClock clock;
  Serve(EverythingButConditions());
  CrdGate gate(api_, clock, 1ms);
  gate.Start();
  while (server_.Count() < 3) std::this_thread::yield();
  EXPECT_FALSE(gate.IsOpen());
  EXPECT_TRUE(gate.IsOutdated());
  Serve(Everything());
  while (!gate.IsOpen()) std::this_thread::yield();
  EXPECT_FALSE(gate.IsOutdated());
  gate.Stop();
}

}  // namespace
}  // namespace backfill::app
