#include "rows/key_order.h"

#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace backfill::rows {
namespace {

bool InOrder(KeyOrder& order, const std::vector<std::string>& keys) {
  std::vector<KeyOrFault> batch;
  for (const std::string& key : keys) batch.push_back({.key = key});
  return order.Add(batch);
}

bool InOrder(const std::vector<std::string>& keys) {
  KeyOrder order;
  return InOrder(order, keys);
}

TEST(KeyOrderTest, TakesBothOrdersOfIds) {
  EXPECT_TRUE(InOrder({}));
  EXPECT_TRUE(InOrder({"9", "10", "11", "100"}));
  EXPECT_TRUE(InOrder({"10", "100", "11", "9"}));
  EXPECT_FALSE(InOrder({"9", "10", "100", "11"}));  // 11 is shorter: it had to be by bytes
  EXPECT_FALSE(InOrder({"10", "100", "11", "9", "10"}));
  EXPECT_FALSE(InOrder({"b", "a"}));
}

TEST(KeyOrderTest, ComparesKeysOfEveryLengthToTheirLastByte) {
  for (std::size_t length = 1; length < 40; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      std::string less(length, 'm');
      std::string more = less;
      more[at] = 'n';
      EXPECT_TRUE(InOrder({less, more})) << length << " " << at;
      EXPECT_FALSE(InOrder({more, less})) << length << " " << at;
      // What comes behind the first difference does not matter, nor do signs of bytes.
      more[at] = '\xFE';
      if (at + 1 < length) more[at + 1] = 'a';
      EXPECT_TRUE(InOrder({less, more})) << length << " " << at;
      EXPECT_FALSE(InOrder({more, less})) << length << " " << at;
    }
  }
}

TEST(KeyOrderTest, CountsEqualNeighboursAlsoAcrossBatches) {
  KeyOrder order;
  EXPECT_TRUE(InOrder(order, {"a", "b", "b"}));
  EXPECT_TRUE(InOrder(order, {}));
  EXPECT_TRUE(InOrder(order, {"b", "c"}));
  EXPECT_EQ(order.repeated(), 2U);
  EXPECT_FALSE(InOrder(order, {"b"}));
}

TEST(KeyOrderTest, PassesOverRowsWithoutAKey) {
  KeyOrder order;
  const std::vector<KeyOrFault> batch = {
      {.key = "b"}, {.key = "a", .fault = Fault::kUtf8}, {.key = "c"}};
  EXPECT_TRUE(order.Add(batch));
}

RC_GTEST_PROP(KeyOrderTest, WhatItTakesHasEqualKeysAsNeighboursOnly,
              (std::vector<std::string> keys)) {
  std::erase(keys, "");
  if (*rc::gen::arbitrary<bool>()) std::sort(keys.begin(), keys.end());
  KeyOrder order;
  if (!InOrder(order, keys)) return;
  std::vector<std::string> sorted = keys;
  std::sort(sorted.begin(), sorted.end());
  const auto different = std::unique(sorted.begin(), sorted.end()) - sorted.begin();
  RC_ASSERT(keys.size() - static_cast<std::size_t>(different) == order.repeated());
}

}  // namespace
}  // namespace backfill::rows
