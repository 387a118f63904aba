#include "worker/target/partition_template.h"

#include <gtest/gtest.h>

namespace backfill::worker {
namespace {

const TemplateNames kOrders{
    .backfill_name = "reprice", .backfill_uid = "u-1", .fields = {"id", "region"}};

TEST(PartitionTemplateTest, NamesThePartitionByValuesAsTheyStand) {
  const auto of = CompilePartitionTemplate("{{fields.region}}-{{key}}", kOrders);
  ASSERT_TRUE(of.ok()) << of.error().message;
  EXPECT_EQ((*of)({.key = "7", .fields = {"7", "eu west/1"}}), "eu west/1-7");
}

TEST(PartitionTemplateTest, AFieldThatARecordLacksIsEmpty) {
  const auto of = CompilePartitionTemplate("{{fields.region}}", kOrders);
  ASSERT_TRUE(of.ok());
  EXPECT_EQ((*of)({.key = "7", .fields = {"7"}}), "");
}

TEST(PartitionTemplateTest, AValueWithoutBoundStaysTooLongAndBounded) {
  const auto of = CompilePartitionTemplate("{{fields.region}}", kOrders);
  ASSERT_TRUE(of.ok());
  const std::string name = (*of)({.key = "7", .fields = {"7", std::string(1'000'000, 'x')}});
  EXPECT_GT(name.size(), Partitions::kMaxName);
  EXPECT_LT(name.size(), 2 * Partitions::kMaxName);
}

TEST(PartitionTemplateTest, RefusesWhatItDoesNotKnow) {
  for (const char* text :
       {"{{fields.zone}}", "{{record}}", "{{fields.region|json}}", "{{", "{{fields.}}"}) {
    EXPECT_FALSE(CompilePartitionTemplate(text, kOrders).ok()) << text;
  }
}

}  // namespace
}  // namespace backfill::worker
