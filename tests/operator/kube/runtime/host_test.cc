#include "operator/kube/runtime/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/runtime/health.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What happened, in order. Thread-safe.
class Diary {
 public:
  void Note(const std::string& what) {
    MutexLock l(mu_);
    notes_.push_back(what);
    changed_.notify_all();
  }
  bool WaitFor(const std::string& what) {
    MutexLock l(mu_);
    return changed_.wait_for(mu_, 30s, [&]() REQUIRES(mu_) {
      return std::find(notes_.begin(), notes_.end(), what) != notes_.end();
    });
  }
  std::vector<std::string> Take() {
    MutexLock l(mu_);
    return std::exchange(notes_, {});
  }

 private:
  Mutex mu_;
  std::condition_variable_any changed_;
  std::vector<std::string> notes_ GUARDED_BY(mu_);
};

class HostTest : public testing::Test {
 protected:
  HostTest() { Begin({}); }
  void Begin(Host::Options options) {
    options.tick = 5ms;
    host_ = std::make_unique<Host>(options, clock_,
                                   [this](const std::string& why) { diary_.Note("exit: " + why); });
  }
  void AddPart(const std::string& name, Stage stage, bool starts = true) {
    host_->Add({.name = name,
                .stage = stage,
                .start = [=, this]() -> Status {
                  diary_.Note("start " + name);
                  if (!starts) return Error{ErrorCode::kUnavailable, "the port is taken"};
                  return Ok{};
                },
                .stop = [=, this](Time) { diary_.Note("stop " + name); }});
  }
  void AddAll() {
    AddPart("controller-a", Stage::kControllers);
    AddPart("controller-b", Stage::kControllers);
    AddPart("lease", Stage::kLease);
    AddPart("watch", Stage::kWatches);
    AddPart("grpc", Stage::kGrpc);
    AddPart("http", Stage::kHttp);
  }
  SystemClock clock_;
  Diary diary_;
  std::unique_ptr<Host> host_;
};

TEST_F(HostTest, R41_StartsAndStopsInOrderAndControllersOnlyOnceItLeads) {
  AddAll();
  std::jthread main([this](const std::stop_token& stop) { EXPECT_TRUE(host_->Run(stop).ok()); });
  EXPECT_TRUE(diary_.WaitFor("start lease"));
  host_->OnLeading({3});
  EXPECT_TRUE(diary_.WaitFor("start controller-b"));
  EXPECT_THAT(diary_.Take(), ElementsAre("start http", "start watch", "start grpc", "start lease",
                                         "start controller-a", "start controller-b"));
  main.request_stop();
  main.join();
  EXPECT_THAT(diary_.Take(), ElementsAre("stop controller-b", "stop controller-a", "stop lease",
                                         "stop watch", "stop grpc", "stop http"));
}

TEST_F(HostTest, AFollowerStopsWithoutItsControllers) {
  AddAll();
  std::jthread main([this](const std::stop_token& stop) { EXPECT_TRUE(host_->Run(stop).ok()); });
  EXPECT_TRUE(diary_.WaitFor("start lease"));
  diary_.Take();
  main.request_stop();
  main.join();
  EXPECT_THAT(diary_.Take(), ElementsAre("stop lease", "stop watch", "stop grpc", "stop http"));
}

TEST_F(HostTest, WhatDoesNotStartIsNamedAndTheOthersAreStopped) {
  AddPart("http", Stage::kHttp);
  AddPart("grpc", Stage::kGrpc, false);
  AddPart("lease", Stage::kLease);
  const Status status = host_->Run({});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "starting grpc: the port is taken");
  EXPECT_THAT(diary_.Take(), ElementsAre("start http", "start grpc", "stop grpc", "stop http"));
}

TEST_F(HostTest, R38_WithTheLeaseLostTheProcessExitsAtOnce) {
  AddPart("lease", Stage::kLease);
  std::string message;
  std::jthread main([&](const std::stop_token& stop) {
    const Status status = host_->Run(stop);
    ASSERT_FALSE(status.ok());
    message = status.error().message;
  });
  EXPECT_TRUE(diary_.WaitFor("start lease"));
  host_->OnLeading({3});
  host_->OnLost("the Lease was deleted");
  main.join();
  EXPECT_EQ(message, "leadership was lost: the Lease was deleted");
  EXPECT_THAT(
      diary_.Take(),
      ElementsAre("start lease", "exit: leadership was lost: the Lease was deleted", "stop lease"));
}

TEST_F(HostTest, R39_StoppingThatTakesTooLongEndsTheProcess) {
  Begin({.stop_within = 10ms, .waits_for_leadership = false});
  host_->Add(
      {.name = "hangs",
       .stage = Stage::kControllers,
       .start = []() -> Status { return Ok{}; },
       .stop = [this](Time) { EXPECT_TRUE(diary_.WaitFor("exit: stopping takes too long")); }});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(host_->Run(stop.get_token()).ok());
}

TEST_F(HostTest, TicksItsPartsAndSaysWhenItLastDid) {
  host_->Add({.name = "ticks",
              .stage = Stage::kHttp,
              .start = []() -> Status { return Ok{}; },
              .stop = [](Time) {},
              .tick = [this](Time) { diary_.Note("tick"); }});
  const Time before = clock_.Steady();
  std::jthread main([this](const std::stop_token& stop) { EXPECT_TRUE(host_->Run(stop).ok()); });
  EXPECT_TRUE(diary_.WaitFor("tick"));
  EXPECT_GE(host_->last_tick(), before);
}

// ---- health

TEST(HealthTest, R40_ALoopThatStoodStillAndAReconcileOverTwoMinutesAreProblems) {
  const Time now{1h};
  EXPECT_EQ(LoopProblem(now - 30s, now, 30s), "");
  EXPECT_THAT(LoopProblem(now - 31s, now, 30s), HasSubstr("for 31 s"));
  EXPECT_EQ(ReconcileProblem(2min), "");
  EXPECT_THAT(ReconcileProblem(2min + 1s), HasSubstr("for 121 s"));
}

TEST(HealthTest, R40_ALeaseOverdueByTwentySecondsIsAProblemOfALeaderOnly) {
  const Time now{1h};
  EXPECT_EQ(LeaseProblem(true, now + 3s, now), "");
  EXPECT_EQ(LeaseProblem(true, now - 20s, now), "");
  EXPECT_THAT(LeaseProblem(true, now - 21s, now), HasSubstr("21 s ago"));
  EXPECT_EQ(LeaseProblem(false, now - 1h, now), "");
  EXPECT_EQ(LeaseProblem(true, Time::min(), now), "");  // it ended between two questions
}

TEST(HealthTest, TheBoardSaysAllAndFailsWithOne) {
  HealthBoard board;
  EXPECT_TRUE(board.Ask({}).ok);
  board.Add("caches", [](Time) { return ""; });
  EXPECT_EQ(board.Ask({}).text, "[+]caches ok\nok\n");
  board.Add("loop", [](Time) { return "it hangs"; });
  const HealthBoard::Report report = board.Ask({});
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.text, "[+]caches ok\n[-]loop failed: it hangs\nnot ok\n");
}

}  // namespace
}  // namespace backfill::kube
