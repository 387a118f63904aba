#include "operator/coordinator/loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;

TEST(LoopTest, RunsTasksInTheirOrderAndSettlesAfterThem) {
  std::vector<int> seen;
  std::atomic<int> settled_after{0};
  Loop loop("test", 10s, [&] { settled_after = static_cast<int>(seen.size()); });
  loop.Start();
  for (int i = 0; i < 100; ++i) loop.Post([&seen, i] { seen.push_back(i); });
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (settled_after < 100 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  loop.Stop();
  EXPECT_EQ(settled_after, 100) << "long before the tick";
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen.at(static_cast<std::size_t>(i)), i);
}

// A stage of a thousand workers has a message every millisecond, and looks at all of them.
TEST(LoopTest, UnderManyTasksSettlingTakesASmallPartOfTheTime) {
  std::atomic<int> settled{0}, ran{0};
  Loop loop("test", 50ms, [&] {
    ++settled;
    const auto until = std::chrono::steady_clock::now() + 2ms;
    while (std::chrono::steady_clock::now() < until) continue;
  });
  loop.Start();
  const auto began = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - began < 100ms) {
    loop.Post([&] { ++ran; });
    std::this_thread::yield();
  }
  loop.Stop();
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_GT(ran, 0);
  EXPECT_GT(settled, 0);
  EXPECT_LE(settled, took / 7ms + 2);  // 2 ms of it, then 5 ms of rest
}

TEST(LoopTest, WhatIsAskedAfterItsEndIsRefused) {
  Loop loop("test", 50ms, [] {});
  loop.Start();
  EXPECT_EQ(*loop.Call<int>([] { return 7; }, 10s), 7);
  loop.Stop();
  EXPECT_FALSE(loop.Post([] {}));
  EXPECT_EQ(loop.Call<int>([] { return 7; }, 10s).error().code, ErrorCode::kAborted);
}

}  // namespace
}  // namespace backfill::coordinator
