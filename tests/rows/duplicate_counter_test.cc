#include "rows/duplicate_counter.h"

#include <string>
#include <unordered_set>

namespace backfill::rows {
namespace {

std::uint64_t HashOf(int key) { return HashKey(std::to_string(key)); }

TEST(HashKeyTest, TellsKeysOfAnyLengthApart) {
  std::unordered_set<std::uint64_t> seen;
  std::string key;
  for (int i = 0; i <= 256; ++i, key += 'a') EXPECT_TRUE(seen.insert(HashKey(key)).second) << i;
  for (std::size_t i = 0; i < 256; ++i) {
    key.assign(256, 'a');
    key[i] = 'b';
    EXPECT_TRUE(seen.insert(HashKey(key)).second) << i;
  }
  for (int i = 0; i < 100'000; ++i) EXPECT_TRUE(seen.insert(HashOf(i)).second) << i;
}

TEST(DuplicateCounterTest, CountsEveryRepetition) {
  DuplicateCounter counter(1'000);
  for (const int key : {1, 2, 1, 3, 1, 2}) counter.Add(HashOf(key));
  EXPECT_EQ(counter.count().keys, 3U);
  EXPECT_TRUE(counter.count().exact);
}

TEST(DuplicateCounterTest, IsExactUntilItIsFull) {
  DuplicateCounter counter(0, 1'024);  // room for 16,384
  for (int key = 0; key < 11'000; ++key) counter.Add(HashOf(key));
  EXPECT_EQ(counter.count().keys, 0U);
  for (int key = 0; key < 11'000; ++key) counter.Add(HashOf(key));
  EXPECT_EQ(counter.count().keys, 11'000U);
  EXPECT_TRUE(counter.count().exact);
}

TEST(DuplicateCounterTest, ExtrapolatesFromASampleBeyondThat) {
  DuplicateCounter counter(0, 1'024);
  constexpr int kKeys = 200'000;
  for (int round = 0; round < 2; ++round) {
    for (int key = 0; key < kKeys; ++key) counter.Add(HashOf(key));
  }
  const DuplicateCount count = counter.count();
  EXPECT_FALSE(count.exact);
  EXPECT_GE(count.sampled, 16U);
  EXPECT_NEAR(static_cast<double>(count.keys), kKeys, kKeys * 0.05);
}

TEST(DuplicateCounterTest, TakesLittleMemoryForASmallFile) {
  EXPECT_LE(DuplicateCounter(10'000).bytes(), 64U << 10);
  EXPECT_EQ(DuplicateCounter(0).bytes(), 64U << 20);
  EXPECT_EQ(DuplicateCounter(1ULL << 40).bytes(), 64U << 20);
}

}  // namespace
}  // namespace backfill::rows
