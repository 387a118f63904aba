// Leaders as processes, over a real API server: stopped, killed, asked to end, cut off. What each
// has written proves who led when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <utility>

#include "tests/cluster/control_plane.h"
#include "tests/cluster/tcp_proxy.h"
#include "tests/e2e/process.h"
#include "tests/operator/kube/cluster/electors.h"

namespace backfill::kube {
namespace {

using cluster::ControlPlane;
using cluster::TcpProxy;

class ElectorTest : public Electors {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    Use(shared->kubeconfig());
  }
};

// R37, R38, F10: a leader that stood still for longer than its Lease lasts, and goes on in the
// middle of whatever it was doing, writes nothing any more and ends.
TEST_F(ElectorTest, R38_AZombieWritesNothingAndEnds) {
  std::unique_ptr<Process> leader, next;
  StartTwo(leader, next);
  if (HasFatalFailure()) return;
  for (std::size_t round = 1; round <= 2; ++round) {
    leader->Signal(SIGSTOP);
    ASSERT_TRUE(ComesToSay(*next, "leads", kTakeOver)) << next->Err();
    ASSERT_TRUE(WritesGoOn());
    leader->Signal(SIGCONT);
    ExpectEndsAsLost(*leader, kSoon);
    ASSERT_TRUE(WritesGoOn());
    ExpectOneLeaderAtATime(round + 1);
    leader = std::move(next);
    next = Start();
    ASSERT_TRUE(ComesToSay(*next, "follows", kSoon)) << next->Err();
  }
}

// F10: who is killed leaves a Lease that has to stand still first.
TEST_F(ElectorTest, R37_AKilledLeaderIsWaitedFor) {
  std::unique_ptr<Process> leader, next;
  StartTwo(leader, next);
  if (HasFatalFailure()) return;

  const Time killed = clock_.Steady();
  leader->Signal(SIGKILL);
  ASSERT_TRUE(ComesToSay(*next, "leads", kTakeOver)) << next->Err();
  // Whoever was killed may have renewed a retry period before.
  EXPECT_GE(clock_.Steady() - killed, kLease - 2 * kRetry);
  ASSERT_TRUE(WritesGoOn());
  ExpectOneLeaderAtATime(2);
}

// R39: who is asked to end gives it back. The next would let it stand for longer than is waited
// for.
TEST_F(ElectorTest, R39_ALeaderThatEndsIsNotWaitedFor) {
  const std::unique_ptr<Process> leader = Start();
  ASSERT_TRUE(ComesToSay(*leader, "leads", kTakeOver)) << leader->Err();
  ASSERT_TRUE(WritesGoOn());
  lease_ = 10 * kSoon;
  const std::unique_ptr<Process> next = Start();
  ASSERT_TRUE(ComesToSay(*next, "follows", kSoon)) << next->Err();
  leader->Signal(SIGTERM);
  ASSERT_TRUE(ComesToSay(*next, "leads", kSoon)) << next->Err();
  const e2e::Exit exit = leader->Wait(kSoon);
  EXPECT_EQ(exit.code, 0) << exit.err;
  EXPECT_THAT(exit.out, ::testing::HasSubstr("released"));
  ASSERT_TRUE(WritesGoOn());
  ExpectOneLeaderAtATime(2);
}

// R38: a leader whose connections go silent, while all others reach the API server, steps down
// before anybody else leads.
TEST_F(ElectorTest, R38_ALeaderThatIsCutOffStepsDownFirst) {
  TcpProxy proxy(port_);
  std::unique_ptr<Process> leader, next;
  StartTwo(leader, next, proxy.port());
  if (HasFatalFailure()) return;
  proxy.GoSilent();
  ExpectEndsAsLost(*leader, kLease + kSoon);
  ASSERT_TRUE(ComesToSay(*next, "leads", kTakeOver)) << next->Err();
  proxy.PassThrough();  // what the first had sent may arrive now
  ASSERT_TRUE(WritesGoOn());
  ExpectOneLeaderAtATime(2);
}

}  // namespace
}  // namespace backfill::kube
