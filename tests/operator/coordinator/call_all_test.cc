#include "operator/coordinator/call_all.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <set>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace backfill::coordinator {
namespace {

using testing::ElementsAre;

TEST(CallAllTest, ByOneItIsALoopOnTheCallersThread) {
  std::vector<int> called;
  CallAll(4, 1, [&, caller = std::this_thread::get_id()](int i) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    called.push_back(i);
    return true;
  });
  EXPECT_THAT(called, ElementsAre(0, 1, 2, 3));
}

TEST(CallAllTest, ByOneItEndsWithTheFirstThatSaysSo) {
  std::vector<int> called;
  CallAll(4, 1, [&](int i) {
    called.push_back(i);
    return i != 1;
  });
  EXPECT_THAT(called, ElementsAre(0, 1));
}

TEST(CallAllTest, SoManyAreUnderWayAtOnceAndNoMore) {
  std::latch together(3);  // nobody gets on before three are there
  std::atomic<int> under_way{0}, most{0};
  CallAll(9, 3, [&](int i) {
    const int now = ++under_way;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    if (i < 3) together.arrive_and_wait();
    --under_way;
    return true;
  });
  EXPECT_EQ(most, 3);
}

TEST(CallAllTest, BelowOneThatWasCalledAllWere) {
  for (int round = 0; round < 20; ++round) {
    Mutex mu;
    std::set<int> called;
    CallAll(50, 4, [&](int i) {
      MutexLock l(mu);
      called.insert(i);
      return i < 10;
    });
    EXPECT_EQ(static_cast<int>(called.size()), *called.rbegin() + 1);
    EXPECT_GE(*called.rbegin(), 10);
    EXPECT_LE(*called.rbegin(), 13) << "four at a time";
  }
}

TEST(CallAllTest, NothingIsNoCall) {
  CallAll(0, 8, [](int) { return ADD_FAILURE() << "called", true; });
}

}  // namespace
}  // namespace backfill::coordinator
