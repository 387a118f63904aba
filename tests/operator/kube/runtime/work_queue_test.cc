#include "operator/kube/runtime/work_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "recorded_metrics.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using Rest = WorkQueue::Rest;

class WorkQueueTest : public testing::Test {
 protected:
  static ObjectKey Key(const std::string& name) { return {.ns = "shop", .name = name}; }
  void Wait(Duration d) {
    clock_.Advance(d);
    queue_.Tick();
  }
  std::string Take() {
    const auto taken = queue_.TryPop();
    return taken ? taken->key.name : "";
  }
  double Metric(const std::string& name) {
    return metrics_.Value(name + "{controller=test,name=test}");
  }

  fakes::ManualClock clock_;
  RecordedMetrics metrics_;
  WorkQueue queue_{{.name = "test", .keys = {.max_keys = 4}, .backoff = {}}, clock_, metrics_};
};

TEST_F(WorkQueueTest, R16_AFailedKeyComesBackLaterEachTime) {
  queue_.AddRateLimited(Key("a"));
  EXPECT_EQ(queue_.NextDue(), clock_.Steady() + 5ms);
  Wait(5ms);
  EXPECT_EQ(Take(), "a");
  queue_.AddRateLimited(Key("a"));
  queue_.Done(Key("a"));
  EXPECT_EQ(queue_.NextDue(), clock_.Steady() + 10ms);
  EXPECT_EQ(queue_.failures(Key("a")), 2);
  queue_.Forget(Key("a"));
  EXPECT_EQ(queue_.failures(Key("a")), 0);
}

TEST_F(WorkQueueTest, R15_AHugeDelayDoesNotOverflow) {
  queue_.AddAfter(Key("a"), Duration::max());
  EXPECT_EQ(queue_.NextDue(), clock_.Steady() + 10h);
  queue_.AddAfter(Key("b"), Duration::min());
  EXPECT_EQ(Take(), "b");
}

TEST_F(WorkQueueTest, SaysOnceThatKeysWereLostWhenThereIsRoomAgain) {
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_TRUE(queue_.Add(Key(name)));
  EXPECT_FALSE(queue_.Add(Key("e")));
  EXPECT_FALSE(queue_.TakeLoss());  // still full
  queue_.Done(Key(Take()));
  EXPECT_FALSE(queue_.TakeLoss());
  queue_.Done(Key(Take()));
  EXPECT_TRUE(queue_.TakeLoss());
  EXPECT_FALSE(queue_.TakeLoss());
  EXPECT_EQ(Metric("backfill_workqueue_refused_total"), 1);
}

TEST_F(WorkQueueTest, CountsUnderTheUsualNames) {
  EXPECT_EQ(Metric("workqueue_adds_total"), 0);  // there from the start
  EXPECT_EQ(Metric("workqueue_retries_total"), 0);
  queue_.Add(Key("a"));
  queue_.Add(Key("a"));
  queue_.AddRateLimited(Key("b"));
  EXPECT_EQ(Metric("workqueue_adds_total"), 2);
  EXPECT_EQ(Metric("workqueue_retries_total"), 1);
  queue_.Publish();
  EXPECT_EQ(Metric("workqueue_depth"), 1);
  Take();
  clock_.Advance(3s);
  queue_.Publish();
  EXPECT_EQ(Metric("workqueue_depth"), 0);
  EXPECT_EQ(Metric("workqueue_unfinished_work_seconds"), 3);
  EXPECT_EQ(Metric("workqueue_longest_running_processor_seconds"), 3);
  EXPECT_EQ(Metric("workqueue_queue_duration_seconds"), 1);
  queue_.Done(Key("a"));
  EXPECT_EQ(Metric("workqueue_work_duration_seconds"), 1);
}

// ---- the end

TEST_F(WorkQueueTest, ShutDownDroppingForgetsWhatIsReady) {
  queue_.Add(Key("a"));
  queue_.ShutDown(Rest::kDrop);
  EXPECT_EQ(queue_.Pop({}), std::nullopt);
  EXPECT_FALSE(queue_.Add(Key("b")));
  EXPECT_FALSE(queue_.AddAfter(Key("b"), 1s));
  EXPECT_FALSE(queue_.AddRateLimited(Key("b")));
}

TEST_F(WorkQueueTest, ShutDownDrainingGivesOutWhatIsReadyAndWhatComesUpAgain) {
  queue_.Add(Key("a"));
  queue_.AddAfter(Key("later"), 1s);
  Take();
  queue_.Add(Key("a"));
  queue_.Add(Key("b"));
  queue_.ShutDown(Rest::kDrain);
  clock_.Advance(1h);
  EXPECT_EQ(queue_.Pop({})->key.name, "b");
  EXPECT_FALSE(queue_.WaitIdle(clock_.Steady()));
  queue_.Done(Key("b"));
  queue_.Done(Key("a"));
  EXPECT_EQ(queue_.Pop({})->key.name, "a");
  queue_.Done(Key("a"));
  EXPECT_EQ(queue_.Pop({}), std::nullopt);
  EXPECT_TRUE(queue_.WaitIdle(clock_.Steady()));
}

TEST_F(WorkQueueTest, WhoWaitsIsWokenByAKeyAStopAndTheEnd) {
  std::atomic<int> ended = 0;
  {
    std::jthread woken([&](std::stop_token stop) {
      while (const auto taken = queue_.Pop(stop)) queue_.Done(taken->key);
      ++ended;
    });
    std::jthread stopped([&](std::stop_token stop) {
      while (const auto taken = queue_.Pop(stop)) queue_.Done(taken->key);
      ++ended;
    });
    queue_.Add(Key("a"));
    EXPECT_TRUE(queue_.WaitIdle(std::chrono::steady_clock::now() + 30s));
    stopped.request_stop();
    stopped.join();
    EXPECT_EQ(ended, 1);
    queue_.AddAfter(Key("b"), 1h);
    Wait(1h);
    EXPECT_TRUE(queue_.WaitIdle(std::chrono::steady_clock::now() + 30s));
    queue_.ShutDown(Rest::kDrain);
  }
  EXPECT_EQ(ended, 2);
}

// The real clock, many hands: each key in one thread at a time, and every change is seen after it
// was made. Runs under TSAN.
TEST(WorkQueueThreadsTest, R14_NoKeyInTwoThreadsAndNoChangeIsMissed) {
  SystemClock clock;
  NoMetrics none;
  WorkQueue queue({.name = "threads"}, clock, none);
  constexpr std::size_t kKeys = 5;
  struct Object {
    std::atomic<int> wanted = 0;
    std::atomic<int> done = 0;
    std::atomic<int> workers = 0;
  };
  std::vector<Object> objects(kKeys);
  std::atomic<int> overlaps = 0;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < 4; ++i) {
      workers.emplace_back([&](std::stop_token stop) {
        while (const auto taken = queue.Pop(stop)) {
          Object& object = objects[std::stoul(taken->key.name)];
          if (object.workers.fetch_add(1) != 0) ++overlaps;
          object.done = object.wanted.load();
          if (object.done % 7 == 0) queue.AddRateLimited(taken->key, taken->priority);
          object.workers.fetch_sub(1);
          queue.Done(taken->key);
        }
      });
    }
    {
      std::vector<std::jthread> adders;
      for (int i = 0; i < 3; ++i) {
        adders.emplace_back([&, i] {
          for (std::size_t n = 0; n < 500; ++n) {
            const std::size_t at = n % kKeys;
            ++objects[at].wanted;
            const ObjectKey key{.ns = "", .name = std::to_string(at)};
            if (i == 0) {
              queue.AddAfter(key, std::chrono::microseconds(n), Priority::kLow);
            } else {
              queue.Add(key);
            }
          }
        });
      }
    }
    // One last time, so that what was delayed is not dropped with the end.
    for (std::size_t at = 0; at < kKeys; ++at) queue.Add({.ns = "", .name = std::to_string(at)});
    queue.ShutDown(Rest::kDrain);
  }
  EXPECT_EQ(overlaps, 0);
  for (const Object& object : objects) EXPECT_EQ(object.done, object.wanted);
}

}  // namespace
}  // namespace backfill::kube
