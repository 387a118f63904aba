#include "operator/kube/client/slot_pool.h"

#include <atomic>
#include <optional>
#include <thread>

namespace backfill::kube {
namespace {

using std::chrono::seconds;
using testing::AnyOf;

Time InTenSeconds() { return std::chrono::steady_clock::now() + seconds(10); }

TEST(SlotPoolTest, GivesOutWhatWasGivenBackLast) {
  SlotPool pool(2, 0);
  std::optional<SlotPool::Slot> a(pool.Take(InTenSeconds(), {}).value());
  std::optional<SlotPool::Slot> b(pool.Take(InTenSeconds(), {}).value());
  EXPECT_NE(a->index(), b->index());
  const std::size_t last = a->index();
  b.reset();
  a.reset();
  EXPECT_EQ(pool.Take(InTenSeconds(), {}).value().index(), last);
}

TEST(SlotPoolTest, RefusesWhereNoneMayWait) {
  SlotPool pool(1, 0);
  const auto held = pool.Take(InTenSeconds(), {});
  const auto refused = pool.Take(InTenSeconds(), {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST(SlotPoolTest, WaitsUntilItsTurnItsDeadlineOrItsStop) {
  SlotPool pool(1, 1);
  std::optional<Result<SlotPool::Slot>> held(pool.Take(InTenSeconds(), {}));
  EXPECT_EQ(pool.Take(std::chrono::steady_clock::now(), {}).error().code, ErrorCode::kDeadline);
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(pool.Take(InTenSeconds(), stop.get_token()).error().code, ErrorCode::kAborted);
  stopper.join();
  std::atomic<bool> got{false};
  {
    const std::jthread waiter([&] { got = pool.Take(InTenSeconds(), {}).ok(); });
    held.reset();
  }
  EXPECT_TRUE(got);
}

TEST(SlotPoolTest, NoMoreThanThatAtOnceWhoeverAsks) {
  SlotPool pool(3, 100);
  std::atomic<int> inside{0}, most{0}, done{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 200; ++n) {
          const auto slot = pool.Take(InTenSeconds(), {});
          if (!slot.ok()) continue;
          int now = ++inside;
          int seen = most;
          while (seen < now && !most.compare_exchange_weak(seen, now)) {
          }
          --inside;
          ++done;
        }
      });
    }
  }
  EXPECT_LE(most, 3);
  EXPECT_EQ(done, 8 * 200);
}

}  // namespace
}  // namespace backfill::kube
