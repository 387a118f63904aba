#include "operator/kube/runtime/key_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace backfill::kube {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Added = KeyQueue::Added;

class KeyQueueTest : public testing::Test {
 protected:
  static ObjectKey Key(const std::string& name) { return {.ns = "shop", .name = name}; }

  Added Add(const std::string& name, Priority priority = Priority::kNormal) {
    return queue_->Add(Key(name), priority, now_);
  }
  Added AddIn(Duration delay, const std::string& name, Priority priority = Priority::kNormal) {
    return queue_->AddAt(Key(name), priority, now_ + delay, now_);
  }
  void Wait(Duration d) {
    now_ += d;
    queue_->Tick(now_);
  }
  std::string Take() {
    const auto taken = queue_->Take(now_);
    return taken ? taken->key.name : "";
  }
  void Done(const std::string& name) { queue_->Done(Key(name), now_); }
  // All that is ready, each done before the next is taken.
  std::vector<std::string> TakeAll() {
    std::vector<std::string> names;
    for (std::string name = Take(); !name.empty(); name = Take()) {
      names.push_back(name);
      Done(name);
    }
    return names;
  }
  void Restart(const KeyQueue::Options& options) { queue_.emplace(options); }

  Time now_{1h};
  std::optional<KeyQueue> queue_{std::in_place, KeyQueue::Options{}};
};

// ---- R14

TEST_F(KeyQueueTest, R14_GivesOutInTheOrderOfArrival) {
  Add("b");
  Add("a");
  Add("c");
  EXPECT_THAT(TakeAll(), ElementsAre("b", "a", "c"));
}

TEST_F(KeyQueueTest, R14_DuplicatesCollapse) {
  EXPECT_EQ(Add("a"), Added::kNew);
  EXPECT_EQ(Add("a"), Added::kMerged);
  EXPECT_THAT(TakeAll(), ElementsAre("a"));
  EXPECT_EQ(queue_->size(), 0U);
}

TEST_F(KeyQueueTest, R14_NamespacesAreToldApart) {
  Add("a");
  queue_->Add({.ns = "other", .name = "a"}, Priority::kNormal, now_);
  EXPECT_EQ(queue_->ready(), 2U);
}

TEST_F(KeyQueueTest, R14_AKeyIsNotTakenWhileItIsWorkedOn) {
  Add("a");
  EXPECT_EQ(Take(), "a");
  EXPECT_EQ(Add("a"), Added::kNew);
  EXPECT_EQ(Add("a"), Added::kMerged);
  EXPECT_EQ(Take(), "");
  Done("a");
  EXPECT_EQ(Take(), "a");
  Done("a");
  EXPECT_EQ(Take(), "");
}

TEST_F(KeyQueueTest, R14_WhatFellDueWhileItWasWorkedOnComesUpAfterwards) {
  Add("a");
  Take();
  AddIn(5s, "a");
  Wait(10s);
  EXPECT_EQ(Take(), "");
  Done("a");
  EXPECT_EQ(Take(), "a");
}

TEST_F(KeyQueueTest, R14_OthersGoOnMeanwhile) {
  Add("a");
  Add("b");
  EXPECT_EQ(Take(), "a");
  EXPECT_EQ(Take(), "b");
  EXPECT_EQ(queue_->processing(), 2U);
  Done("a");
  Done("b");
  EXPECT_EQ(queue_->size(), 0U);
}

TEST_F(KeyQueueTest, DoneOfAKeyThatNobodyTookEndsTheProcess) {
  Add("a");
  EXPECT_DEATH(Done("a"), "");
}

// ---- R15

TEST_F(KeyQueueTest, R15_ADelayedKeyIsNotReadyBefore) {
  AddIn(5s, "a");
  EXPECT_EQ(queue_->NextDue(), now_ + 5s);
  Wait(5s - 1ns);
  EXPECT_EQ(Take(), "");
  Wait(1ns);
  EXPECT_EQ(Take(), "a");
}

TEST_F(KeyQueueTest, R15_TheEarliestTimeIsKept) {
  AddIn(5s, "a");
  AddIn(60s, "a");
  EXPECT_EQ(queue_->NextDue(), now_ + 5s);
  AddIn(2s, "a");
  EXPECT_EQ(queue_->NextDue(), now_ + 2s);
  Wait(60s);
  EXPECT_THAT(TakeAll(), ElementsAre("a"));  // once
}

TEST_F(KeyQueueTest, R15_AddingItAtOnceEndsTheWait) {
  AddIn(5s, "a");
  EXPECT_EQ(Add("a"), Added::kMerged);
  EXPECT_EQ(queue_->NextDue(), std::nullopt);
  EXPECT_THAT(TakeAll(), ElementsAre("a"));
  Wait(1h);
  EXPECT_EQ(Take(), "");
}

TEST_F(KeyQueueTest, R15_ADelayDoesNotPutOffWhatIsReady) {
  Add("a");
  AddIn(5s, "a");
  EXPECT_EQ(Take(), "a");
  AddIn(5s, "b");
  AddIn(-5s, "b");  // past: at once
  EXPECT_EQ(Take(), "b");
}

TEST_F(KeyQueueTest, R15_NoDelayIsLongerThanTenHours) {
  AddIn(24h * 365, "a");
  EXPECT_EQ(queue_->NextDue(), now_ + 10h);
}

TEST_F(KeyQueueTest, R15_KeysThatFallDueTogetherComeInTheOrderOfTheirTimes) {
  AddIn(3s, "c");
  AddIn(1s, "a");
  AddIn(2s, "b");
  Wait(1h);
  EXPECT_THAT(TakeAll(), ElementsAre("a", "b", "c"));
}

// ---- R17

TEST_F(KeyQueueTest, R17_WhatChangedGoesBeforeTheInitialList) {
  Add("old", Priority::kLow);
  Add("new");
  EXPECT_THAT(TakeAll(), ElementsAre("new", "old"));
}

TEST_F(KeyQueueTest, R17_AHigherPriorityLiftsAKeyAndALowerOneDoesNotSinkIt) {
  Add("a", Priority::kLow);
  Add("b");
  EXPECT_EQ(Add("a"), Added::kMerged);
  Add("b", Priority::kLow);
  EXPECT_THAT(TakeAll(), ElementsAre("b", "a"));
}

TEST_F(KeyQueueTest, R17_ThePriorityOutlastsADelayAndTheWorkUnderWay) {
  Add("other", Priority::kLow);
  AddIn(1s, "later", Priority::kLow);
  AddIn(2s, "later");  // lifts, but does not put off
  Wait(1s);
  EXPECT_EQ(Take(), "later");
  Add("later", Priority::kLow);
  Add("later");
  Done("later");
  EXPECT_EQ(Take(), "later");
  Done("later");
  EXPECT_EQ(Take(), "other");
}

TEST_F(KeyQueueTest, R17_APriorityIsOfOneTurnOnly) {
  Add("a");
  EXPECT_EQ(queue_->Take(now_)->priority, Priority::kNormal);
  Add("a", Priority::kLow);
  Done("a");
  EXPECT_EQ(queue_->Take(now_)->priority, Priority::kLow);
}

TEST_F(KeyQueueTest, R17_LowKeysDoNotStarve) {
  Restart({.low_share = 8});
  for (int i = 0; i < 10; ++i) Add("low-" + std::to_string(i), Priority::kLow);
  int takes = 0;
  for (int low = 0; low < 10;) {
    Add("new-" + std::to_string(takes));  // never runs out
    const std::string name = Take();
    Done(name);
    ++takes;
    if (name != "low-" + std::to_string(low)) continue;
    ++low;
    EXPECT_LE(takes, low * 8);
  }
  EXPECT_EQ(takes, 80);  // and no more than its share
}

// ---- bounds

TEST_F(KeyQueueTest, OneKeyTooManyIsRefusedAndKnownOnesAreNot) {
  Restart({.max_keys = 3});
  Add("a");
  AddIn(1s, "b");
  Add("c");
  EXPECT_EQ(Add("d"), Added::kRefused);
  EXPECT_EQ(AddIn(1s, "d"), Added::kRefused);
  EXPECT_EQ(Add("a"), Added::kMerged);
  EXPECT_EQ(Take(), "a");
  EXPECT_EQ(Add("d"), Added::kRefused);  // one that is worked on needs its place
  Done("a");
  EXPECT_EQ(Add("d"), Added::kNew);
}

TEST_F(KeyQueueTest, ClearLeavesOnlyWhatIsWorkedOn) {
  Add("a");
  Add("b");
  AddIn(1s, "c");
  Take();
  Add("a");
  queue_->Clear();
  EXPECT_EQ(queue_->size(), 1U);
  Done("a");
  EXPECT_EQ(queue_->size(), 0U);
  EXPECT_EQ(queue_->NextDue(), std::nullopt);
}

TEST_F(KeyQueueTest, SaysHowLongKeysWaitedAndWereWorkedOn) {
  AddIn(1s, "a");
  Wait(3s);
  EXPECT_EQ(queue_->Take(now_)->waited, 2s);
  Add("b");
  Wait(1s);
  Take();
  Wait(4s);
  EXPECT_EQ(queue_->RunningAt(now_).longest, 5s);
  EXPECT_EQ(queue_->RunningAt(now_).sum, 9s);
  EXPECT_EQ(queue_->Done(Key("a"), now_), 5s);
}

// ---- any history, against a model that is slow and obvious

struct Model {
  enum class Where { kDelayed, kReady };
  struct Waiting {
    Where where;
    Time due;
  };
  std::map<std::string, Waiting> waiting;
  std::set<std::string> working;

  void AddAt(const std::string& name, Time due, Time now) {
    if (due <= now) {
      waiting[name] = {Where::kReady, now};
      return;
    }
    const auto [at, fresh] = waiting.try_emplace(name, Waiting{Where::kDelayed, due});
    if (!fresh && at->second.where == Where::kDelayed)
      at->second.due = std::min(at->second.due, due);
  }
  void Tick(Time now) {
    for (auto& [name, w] : waiting) {
      if (w.where == Where::kDelayed && w.due <= now) w.where = Where::kReady;
    }
  }
  [[nodiscard]] std::set<std::string> Takeable() const {
    std::set<std::string> names;
    for (const auto& [name, w] : waiting) {
      if (w.where == Where::kReady && !working.contains(name)) names.insert(name);
    }
    return names;
  }
};

TEST_F(KeyQueueTest, R14_R15_AnyHistoryIsThatOfTheModel) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Restart({});
    Model model;
    std::mt19937 random(seed);
    for (int step = 0; step < 300; ++step) {
      const std::string name(1, static_cast<char>('a' + random() % 6));
      const Priority priority = random() % 2 == 0 ? Priority::kLow : Priority::kNormal;
      switch (random() % 5) {
        case 0:
          Add(name, priority);
          model.AddAt(name, now_, now_);
          break;
        case 1: {
          const Duration delay = 1s * (random() % 5);
          AddIn(delay, name, priority);
          model.AddAt(name, now_ + delay, now_);
          break;
        }
        case 2:
          Wait(500ms * (random() % 4));
          model.Tick(now_);
          break;
        case 3: {
          const std::string taken = Take();
          const auto takeable = model.Takeable();
          ASSERT_EQ(taken.empty(), takeable.empty());
          if (taken.empty()) break;
          ASSERT_TRUE(takeable.contains(taken)) << taken;
          model.waiting.erase(taken);
          model.working.insert(taken);
          break;
        }
        default:
          if (!model.working.contains(name)) break;
          Done(name);
          model.working.erase(name);
      }
      ASSERT_EQ(queue_->processing(), model.working.size());
      ASSERT_EQ(queue_->ready(), model.Takeable().size());
    }
    for (const std::string& name : model.working) Done(name);
    Wait(1h);
    TakeAll();
    EXPECT_EQ(queue_->size(), 0U);  // nothing is left behind
  }
}

}  // namespace
}  // namespace backfill::kube
