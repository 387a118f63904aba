#include "operator/coordinator/sample_collector.h"

#include <rapidcheck.h>

namespace backfill::coordinator {
namespace {

std::vector<std::string> Keys(const SampleCollector& samples) {
  std::vector<std::string> keys;
  for (const auto& sample : samples.Samples()) keys.push_back(sample.key);
  return keys;
}

TEST(SampleCollector, KeepsTheFirstTenOfThePlanWhateverTheOrderOfArrival) {
  SampleCollector samples(1);
  for (int shard = 49; shard >= 0; --shard) samples.Add({shard}, std::to_string(shard), "GET /");
  const std::vector<std::string> keys = Keys(samples);
  ASSERT_GE(keys.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(keys[i], std::to_string(i));
}

TEST(SampleCollector, KeepsOneOfEachTenthOfTheShards) {
  SampleCollector samples(10);
  for (int chunk = 0; chunk < 10; ++chunk) {
    for (int slot = 0; slot < 20; ++slot) {
      samples.Add({chunk * 1000 + slot}, std::to_string(chunk), "GET /");
    }
  }
  const std::vector<std::string> keys = Keys(samples);
  for (int chunk = 1; chunk < 10; ++chunk) {
    EXPECT_EQ(std::count(keys.begin(), keys.end(), std::to_string(chunk)), 1);
  }
}

TEST(SampleCollector, IsBoundedWhateverComes) {
  EXPECT_TRUE(rc::check([](const std::vector<std::pair<std::uint16_t, std::string>>& sent) {
    SampleCollector samples(3);
    for (const auto& [shard, text] : sent) samples.Add({shard % 3000}, text, text);
    RC_ASSERT(samples.Samples().size() <= 20u);
    RC_ASSERT(samples.Samples().size() >= std::min<std::size_t>(sent.size(), 10));
  }));
}

TEST(SampleCollector, CutsLongTextsBetweenCharacters) {
  SampleCollector samples(1);
  std::string text(SampleCollector::kMaxRequest - 1, 'a');
  text += "\u00e9";  // its second byte would not fit
  samples.Add({0}, std::string(1000, 'k'), text);
  ASSERT_EQ(samples.Samples().size(), 1u);
  EXPECT_EQ(samples.Samples()[0].request, std::string(SampleCollector::kMaxRequest - 1, 'a'));
  EXPECT_EQ(samples.Samples()[0].key.size(), SampleCollector::kMaxKey);
}

}  // namespace
}  // namespace backfill::coordinator
