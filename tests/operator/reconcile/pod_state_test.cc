#include "operator/reconcile/pod_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/client/wire.h"

namespace backfill::reconcile {
namespace {

using testing::HasSubstr;

PodState Read(const std::string& status) {
  const auto object = kube::ParseObject(
      R"({"metadata":{"name":"p","namespace":"shop","uid":"u"},"status":)" + status + "}",
      PodStates().decode);
  if (!object.ok()) {
    ADD_FAILURE() << object.error().message;
    return {};
  }
  return *kube::As<PodState>(*object);
}

PodState EndedWith(const std::string& terminated) {
  return Read(R"({"phase":"Failed","containerStatuses":[{"name":"proxy","state":{"terminated":
      {"exitCode":9}}},{"name":"worker","state":{"terminated":)" +
              terminated + "}}]}");
}

TEST(PodStateTest, TellsHowTheWorkerEnded) {
  const PodState pod = EndedWith(
      R"({"exitCode":137,"reason":"OOMKilled","finishedAt":"2026-01-01T00:00:00Z","containerID":"c"})");
  ASSERT_TRUE(pod.ended.has_value());
  EXPECT_TRUE(pod.ended->certain);
  EXPECT_EQ(DescribeEnd("run-3", pod), "run-3 (pod p) exited with 137 (OOMKilled)");
  EXPECT_EQ(DescribeEnd("run-3", EndedWith(R"({"exitCode":1,"reason":"Error"})")),
            "run-3 (pod p) exited with 1");
  EXPECT_EQ(DescribeEnd("run-3", EndedWith(R"({"exitCode":0,"signal":9})")),
            "run-3 (pod p) was killed by signal 9");
}

// F13: others than the kubelet set the state of pods, too, when a node is lost.
TEST(PodStateTest, F13_OnlyWhatTheKubeletSawIsCertain) {
  EXPECT_FALSE(EndedWith(R"({"exitCode":137,"reason":"ContainerStatusUnknown","containerID":"c",
                         "finishedAt":"2026-01-01T00:00:00Z"})")
                   .ended->certain);
  EXPECT_FALSE(EndedWith(R"({"exitCode":137,"finishedAt":"2026-01-01T00:00:00Z"})").ended->certain);
  EXPECT_FALSE(EndedWith(R"({"exitCode":137,"containerID":"c"})").ended->certain);
  EXPECT_FALSE(Read(R"({"phase":"Failed","reason":"NodeLost"})").ended.has_value());
}

TEST(PodStateTest, TellsWhatAPodWaitsFor) {
  const PodState pulls = Read(
      R"({"phase":"Pending","initContainerStatuses":[{"name":"i","state":{"waiting":
      {"reason":"ErrImagePull","message":"no such image"}}}],"containerStatuses":[{"name":"worker",
      "state":{"waiting":{"reason":"PodInitializing"}}}]})");
  EXPECT_EQ(pulls.waits_for, "ErrImagePull");
  EXPECT_EQ(pulls.waits_message, "no such image");
  EXPECT_TRUE(IsImageTrouble(pulls.waits_for));
  const PodState waits = Read(
      R"({"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False",
      "reason":"Unschedulable","message":"0/3 nodes"}]})");
  EXPECT_EQ(waits.waits_for, "Unschedulable");
  EXPECT_FALSE(IsImageTrouble(waits.waits_for));
  EXPECT_EQ(Read(R"({"phase":"Running"})").waits_for, "");
}

// F23
TEST(PodStateTest, F23_WhateverAStatusSaysIsBounded) {
  const PodState pod = Read(R"({"containerStatuses":[{"name":"worker","state":{"waiting":{"reason":
      "Bad\u001b[31m\n","message":")" +
                            std::string(5000, 'x') + R"("}}}]})");
  EXPECT_EQ(pod.waits_for, "Bad [31m ");
  EXPECT_EQ(pod.waits_message.size(), 512U);
  for (const char* status :
       {R"({"containerStatuses":5})", R"({"phase":[]})", R"({"containerStatuses":[{"state":7}]})",
        R"({"conditions":[{"type":"PodScheduled","status":"False","reason":{}}]})"}) {
    EXPECT_FALSE(kube::ParseObject(
                     R"({"metadata":{"name":"p","uid":"u"},"status":)" + std::string(status) + "}",
                     PodStates().decode)
                     .ok())
        << status;
  }
}

}  // namespace
}  // namespace backfill::reconcile
