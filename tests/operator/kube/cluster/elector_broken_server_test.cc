// Leaders without an API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/cli/temp_dir.h"
#include "tests/cluster/control_plane.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/electors.h"

namespace backfill::kube {
namespace {

using cluster::Component;
using cluster::OwnControlPlane;

class LostServerTest : public Electors {
 protected:
  void SetUp() override {
    if (std::optional<std::string> why = OwnControlPlane::WhyNone()) GTEST_SKIP() << *why;
    Result<OwnControlPlane> started = OwnControlPlane::Start(plane_dir_.path() / "plane");
    ASSERT_TRUE(started.ok()) << started.error().message;
    own_.emplace(std::move(started).value());
    Use(own_->kubeconfig());
  }

  const cli::TempDir plane_dir_;
  std::optional<OwnControlPlane> own_;
};

// R38, F11: without an API server the leader steps down, and who waits goes on waiting.
TEST_F(LostServerTest, R38_ALeaderWithoutAnApiServerStepsDown) {
  std::unique_ptr<Process> leader, next;
  StartTwo(leader, next);
  if (HasFatalFailure()) return;
  ASSERT_TRUE(own_->Stop(Component::kApiServer).ok());
  ExpectEndsAsLost(*leader, kLease + kSoon);
  EXPECT_TRUE(next->running());
  EXPECT_FALSE(Says(*next, "leads"));
  ASSERT_TRUE(own_->StartAgain(Component::kApiServer).ok());
  ASSERT_TRUE(ComesToSay(*next, "leads", kTakeOver)) << next->Err();
  ASSERT_TRUE(WritesGoOn());
  ExpectOneLeaderAtATime(2);
}

}  // namespace
}  // namespace backfill::kube
