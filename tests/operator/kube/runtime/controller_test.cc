#include "operator/kube/runtime/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "eventually.h"
#include "recorded_metrics.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;

class OpenCaches final : public CacheView {
 public:
  [[nodiscard]] bool HasSynced() const override { return synced; }
  [[nodiscard]] bool HasSeen(std::string_view, const ObjectKey&, std::string_view) const override {
    return seen;
  }
  std::atomic<bool> synced = true;
  std::atomic<bool> seen = true;
};

// Does what the test says.
class ToldReconciler final : public Reconciler {
 public:
  Outcome Reconcile(const ObjectKey& key, ReconcileContext& context) override {
    ++calls;
    return what(key, context);
  }
  std::function<Outcome(const ObjectKey&, ReconcileContext&)> what =
      [](const ObjectKey&, ReconcileContext&) { return Outcome::Done(); };
  std::atomic<int> calls = 0;
};

// A dispatcher, step by step.
class DispatcherTest : public testing::Test {
 protected:
  void Answer(std::function<Outcome(ReconcileContext&)> what) {
    reconciler_.what = [what = std::move(what)](const ObjectKey&, ReconcileContext& context) {
      return what(context);
    };
  }
  void Answer(const Outcome& outcome) {
    Answer([outcome](ReconcileContext&) { return outcome; });
  }
  // One key, if one is ready.
  bool Handle(const std::stop_token& stop = {}) {
    const auto taken = queue_.TryPop();
    if (taken) dispatcher_.Handle(*taken, stop);
    return taken.has_value();
  }
  [[nodiscard]] std::optional<Duration> Due() const {
    const auto due = queue_.NextDue();
    if (!due) return std::nullopt;
    return *due - clock_.Steady();
  }
  double Metric(const std::string& name) {
    return metrics_.Value("controller_runtime_" + name + "{controller=test}");
  }
  double Results(const std::string& result) {
    return metrics_.Value("controller_runtime_reconcile_total{controller=test,result=" + result +
                          "}");
  }

  const ObjectKey kKey{"shop", "a"};
  fakes::ManualClock clock_;
  RecordedMetrics metrics_;
  ToldReconciler reconciler_;
  OpenCaches caches_;
  WorkQueue queue_{{.name = "test"}, clock_, metrics_};
  WriteGuard guard_{{}};
  ControllerMetrics counted_{metrics_, "test"};
  Dispatcher dispatcher_{
      {.controller = "test"}, reconciler_, caches_, queue_, guard_, clock_, counted_};
};

TEST_F(DispatcherTest, R16_EachOutcomeHasItsFollowUp) {
  const Error error{ErrorCode::kUnavailable, "the API server is away"};
  struct Case {
    Outcome outcome;
    std::optional<Duration> due;
    int failures;
    std::string result;
  };
  // After one failure before.
  for (const Case& c : {Case{Outcome::Done(), std::nullopt, 0, "success"},
                        Case{Outcome::Again(), 10ms, 2, "requeue"},
                        Case{Outcome::AgainAfter(90s), 90s, 0, "requeue_after"},
                        Case{Outcome::Failed(error), 10ms, 2, "error"},
                        Case{Outcome::Refused(error), std::nullopt, 0, "error"}}) {
    SCOPED_TRACE(static_cast<int>(c.outcome.kind));
    queue_.Forget(kKey);
    Answer(Outcome::Failed(error));
    queue_.Add(kKey);
    Handle();
    queue_.Add(kKey);
    Answer(c.outcome);
    const double before = Results(c.result);
    ASSERT_TRUE(Handle());
    EXPECT_EQ(Due(), c.due);
    EXPECT_EQ(queue_.failures(kKey), c.failures);
    EXPECT_EQ(Results(c.result), before + 1);
    clock_.Advance(1h);
    Answer(Outcome::Done());
    while (Handle()) {
    }
  }
  EXPECT_EQ(Metric("terminal_reconcile_errors_total"), 1);
  EXPECT_EQ(Metric("reconcile_errors_total"), 5 + 2);
  EXPECT_EQ(Metric("active_workers"), 0);
}

TEST_F(DispatcherTest, R16_AnExceptionIsAFailureAndCounted) {
  EXPECT_EQ(Metric("reconcile_panics_total"), 0);
  Answer([](ReconcileContext&) -> Outcome { throw std::runtime_error("no such field"); });
  queue_.Add(kKey);
  Handle();
  EXPECT_EQ(Due(), 5ms);
  Answer([](ReconcileContext&) -> Outcome { throw 7; });
  clock_.Advance(5ms);
  Handle();
  EXPECT_EQ(Due(), 10ms);
  EXPECT_EQ(Metric("reconcile_panics_total"), 2);
  EXPECT_EQ(Results("error"), 2);
}

TEST_F(DispatcherTest, R17_ARetryKeepsItsPriority) {
  Answer(Outcome::Failed({ErrorCode::kUnavailable, "away"}));
  queue_.Add(kKey, Priority::kLow);
  Handle();
  clock_.Advance(5ms);
  EXPECT_EQ(queue_.TryPop()->priority, Priority::kLow);
}

TEST_F(DispatcherTest, R18_AReconcileHasAHundredCallsAndTheNextGoesOn) {
  int calls = 0;
  Answer([&](ReconcileContext& context) {
    while (calls < 250) {
      const Status may = context.BeginCall();
      if (!may.ok()) return Outcome::Failed(may.error());
      ++calls;
    }
    return Outcome::Done();
  });
  queue_.Add(kKey);
  Handle();
  EXPECT_EQ(calls, 100);
  EXPECT_EQ(Due(), 5ms);
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(1s);
    Handle();
  }
  EXPECT_EQ(calls, 250);
  EXPECT_EQ(Results("requeue"), 2);
  EXPECT_EQ(Results("success"), 1);
  EXPECT_EQ(Results("error"), 0);
}

TEST_F(DispatcherTest, R18_AReconcileHasThirtySeconds) {
  Answer([&](ReconcileContext& context) {
    EXPECT_EQ(context.deadline(), clock_.Steady() + 30s);
    clock_.Advance(30s - 1ns);
    EXPECT_TRUE(context.BeginCall().ok());
    clock_.Advance(1ns);
    const Status may = context.BeginCall();
    EXPECT_EQ(may.error().code, ErrorCode::kDeadline);
    return Outcome::Failed(may.error());
  });
  queue_.Add(kKey);
  Handle();
  EXPECT_EQ(Results("requeue"), 1);
}

TEST_F(DispatcherTest, R38_WhoLeadsNoLongerMakesNoMoreCalls) {
  bool leads = true;
  Dispatcher dispatcher({.controller = "test", .may_act = [&](Time) { return leads; }}, reconciler_,
                        caches_, queue_, guard_, clock_, counted_);
  Answer([&](ReconcileContext& context) {
    EXPECT_TRUE(context.BeginCall().ok());
    leads = false;
    const Status may = context.BeginCall();
    EXPECT_EQ(may.error().code, ErrorCode::kAborted);
    return Outcome::Failed(may.error());
  });
  queue_.Add(kKey);
  dispatcher.Handle(*queue_.TryPop(), {});
  EXPECT_EQ(reconciler_.calls, 1);
}

TEST_F(DispatcherTest, R21_AKeyIsPutOffUntilTheCacheHasItsOwnWrite) {
  Answer([&](ReconcileContext& context) {
    context.OnWrite({.resource = "jobs", .object = {"shop", "a-run"}, .version = "5"});
    return Outcome::Done();
  });
  queue_.Add(kKey, Priority::kLow);
  Handle();
  caches_.seen = false;
  queue_.Add(kKey);
  EXPECT_TRUE(Handle());
  EXPECT_EQ(reconciler_.calls, 1);
  EXPECT_EQ(Due(), 20ms);
  EXPECT_EQ(queue_.failures(kKey), 0);
  caches_.seen = true;
  clock_.Advance(20ms);
  EXPECT_TRUE(Handle());
  EXPECT_EQ(reconciler_.calls, 2);
  EXPECT_EQ(metrics_.Value("backfill_reconciles_held_total{controller=test}"), 1);
}

TEST_F(DispatcherTest, WhenStoppedAFailureIsNoneAndNothingFollows) {
  std::stop_source source;
  Answer([&](ReconcileContext& context) {
    source.request_stop();
    const Status may = context.BeginCall();
    EXPECT_EQ(may.error().code, ErrorCode::kAborted);
    return Outcome::Failed(may.error());
  });
  queue_.Add(kKey);
  Handle(source.get_token());
  EXPECT_EQ(Due(), std::nullopt);
  EXPECT_EQ(Results("error"), 0);
}

TEST_F(DispatcherTest, EachReconcileHasAnIdOfItsOwn) {
  std::string first, second;
  Answer([&](ReconcileContext& context) {
    (first.empty() ? first : second) = context.id();
    return Outcome::Done();
  });
  for (int i = 0; i < 2; ++i) {
    queue_.Add(kKey);
    Handle();
  }
  EXPECT_EQ(first.size(), 16U);
  EXPECT_NE(first, second);
}

// ---- with threads

class ControllerTest : public testing::Test {
 protected:
  SystemClock clock_;
  RecordedMetrics metrics_;
  OpenCaches caches_;
  ToldReconciler reconciler_;
};

TEST_F(ControllerTest, R13_NothingIsReconciledBeforeTheCachesAreThere) {
  caches_.synced = false;
  Controller controller({.name = "test"}, reconciler_, caches_, clock_, metrics_);
  controller.queue().Add({"shop", "a"});
  controller.Start();
  std::this_thread::sleep_for(120ms);  // two looks: whoever does not wait is seen
  EXPECT_EQ(reconciler_.calls, 0);
  caches_.synced = true;
  EXPECT_TRUE(Eventually([&] { return reconciler_.calls == 1; }));
}

TEST_F(ControllerTest, R18_AsManyReconcilesAtATimeAsItHasWorkersAndOneOfAKey) {
  std::atomic<int> at_a_time = 0, most = 0;
  std::atomic<int> of_a = 0;
  std::atomic<bool> overlapped = false, go_on = false;
  reconciler_.what = [&](const ObjectKey& key, ReconcileContext&) {
    const int now = ++at_a_time;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    if (key.name == "0" && ++of_a > 1) overlapped = true;
    while (!go_on) std::this_thread::yield();
    if (key.name == "0") --of_a;
    --at_a_time;
    return Outcome::Done();
  };
  Controller controller({.name = "test"}, reconciler_, caches_, clock_, metrics_);
  controller.Start();
  for (int i = 0; i < 10; ++i) controller.queue().Add({"", std::to_string(i)});
  EXPECT_TRUE(Eventually([&] { return at_a_time == 4; }));
  controller.queue().Add({"", "0"});
  EXPECT_GT(controller.LongestReconcile(), 0s);
  go_on = true;
  EXPECT_TRUE(Eventually([&] { return reconciler_.calls == 11; }));
  controller.Stop();
  EXPECT_EQ(most, 4);
  EXPECT_FALSE(overlapped);
  EXPECT_EQ(metrics_.Value("controller_runtime_max_concurrent_reconciles{controller=test}"), 4);
}

TEST_F(ControllerTest, R41_StopWaitsForTheReconcilesUnderWayAndTheySeeIt) {
  std::atomic<bool> began = false, ended = false;
  reconciler_.what = [&](const ObjectKey&, ReconcileContext& context) {
    began = true;
    while (!context.stop().stop_requested()) std::this_thread::yield();
    ended = true;
    return Outcome::Done();
  };
  Controller controller({.name = "test"}, reconciler_, caches_, clock_, metrics_);
  controller.Start();
  controller.queue().Add({"", "a"});
  EXPECT_TRUE(Eventually([&] { return began.load(); }));
  controller.Stop();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(controller.queue().Add({"", "b"}));
  controller.Stop();
}

TEST_F(ControllerTest, StopsWithoutHavingStartedAndWhileItWaitsForCaches) {
  {
    Controller controller({.name = "test"}, reconciler_, caches_, clock_, metrics_);
  }
  caches_.synced = false;
  Controller controller({.name = "test"}, reconciler_, caches_, clock_, metrics_);
  controller.Start();
  controller.Stop();
  EXPECT_EQ(reconciler_.calls, 0);
}

TEST_F(ControllerTest, WhatFoundNoRoomIsAddedAgainByWhoKnowsAll) {
  ControllerOptions options{.name = "test"};
  options.queue.keys.max_keys = 2;
  options.add_all = [](WorkQueue& queue) { queue.Add({"", "lost"}, Priority::kLow); };
  Controller controller(options, reconciler_, caches_, clock_, metrics_);
  for (const char* name : {"a", "b", "lost"}) controller.queue().Add({"", name});
  controller.Tick();
  EXPECT_EQ(controller.queue().Look().ready, 2U);
  controller.Start();
  EXPECT_TRUE(Eventually([&] { return reconciler_.calls == 2; }));
  EXPECT_TRUE(Eventually([&] { return controller.queue().Look().processing == 0; }));
  controller.Tick();
  EXPECT_TRUE(Eventually([&] { return reconciler_.calls == 3; }));
}

TEST(ControllerOptionsTest, AreChecked) {
  EXPECT_EQ(ControllerOptions{.name = "a"}.Validate(), "");
  EXPECT_NE(ControllerOptions{.name = ""}.Validate(), "");
  EXPECT_NE((ControllerOptions{.name = "a", .workers = 0}.Validate()), "");
  EXPECT_NE((ControllerOptions{.name = "a", .workers = 65}.Validate()), "");
  EXPECT_NE((ControllerOptions{.name = "a", .call_limit = 0}.Validate()), "");
}

}  // namespace
}  // namespace backfill::kube
