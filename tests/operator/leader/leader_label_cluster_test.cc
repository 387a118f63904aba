// The label on a real API server, with the rights that the chart gives and no other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "operator/leader/leader_label.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"
#include "tests/operator/certificates/limited_operator.h"

namespace backfill::leader {
namespace {

using namespace std::chrono_literals;
using certificates::LimitedOperator;
using cluster::ControlPlane;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

class LeadsPods final : public coordinator::Leadership {
 public:
  [[nodiscard]] bool Valid(Time) const override { return leads; }
  std::atomic<bool> leads{true};
};

class LeaderLabelClusterTest : public ::testing::Test {
 protected:
  struct Replica {
    Replica(LimitedOperator& rights, const Clock& clock, const std::string& pod)
        : transport(rights.Connect()),
          api(*transport, nullptr),
          label(api, clock, leadership,
                {.ns = rights.ns(),
                 .pod = pod,
                 .selector = "app.kubernetes.io/name=operator",
                 .look_every = 100ms}) {}
    std::unique_ptr<kube::RestTransport> transport;
    kube::ApiClient api;
    LeadsPods leadership;
    LeaderLabel label;
  };

  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
  }
  static std::string Labelled(LimitedOperator& rights) {
    return rights.Kubectl({"get", "pods", "-n", rights.ns(), "-l", "backfill.dev/leader=true", "-o",
                           "jsonpath={.items[*].metadata.name}"});
  }
  static bool Comes(const std::function<bool()>& holds) {
    return e2e::TimeUntil(20s, holds).has_value();
  }

  SystemClock clock_;
  std::optional<ControlPlane> plane_;
};

TEST_F(LeaderLabelClusterTest, OfTwoPodsExactlyTheLeaderEndsWithTheLabel) {
  LimitedOperator rights(*plane_);
  for (const char* pod : {"a", "b"})
    rights.Apply(std::string("{apiVersion: v1, kind: Pod, metadata: {name: ") + pod +
                 ", namespace: " + rights.ns() +
                 ", labels: {app.kubernetes.io/name: operator, backfill.dev/leader: 'true'}}, "
                 "spec: {containers: [{name: operator, image: none}]}}");
  Replica a(rights, clock_, "a");
  Replica b(rights, clock_, "b");
  for (Replica* replica : {&a, &b})
    ASSERT_TRUE(replica->label.ClearOwn(clock_.Steady() + 10s).ok());
  EXPECT_EQ(Labelled(rights), "");
  a.label.Start();
  EXPECT_TRUE(Comes([&] { return Labelled(rights) == "a"; }));
  // It does not know yet that it leads no more, and goes on as it did.
  a.leadership.leads = false;
  b.label.Start();
  EXPECT_TRUE(Comes([&] { return Labelled(rights) == "b"; }));
  a.label.Stop(clock_.Steady() + 10s);
  EXPECT_EQ(Labelled(rights), "b");
  b.label.Stop(clock_.Steady() + 10s);
  EXPECT_EQ(Labelled(rights), "");
  const auto done = rights.WhatItDid();
  EXPECT_THAT(done, Each(Not(HasSubstr(" 403"))));
  EXPECT_THAT(done, Contains("list pods 200"));
  EXPECT_THAT(done, Contains("patch pods 200"));
}

}  // namespace
}  // namespace backfill::leader
