#include "cli/plan_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace backfill::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class PlanSamplesTest : public testing::Test {
 protected:
  PlanSamplesTest() {
    backfill_.name = "reprice";
    backfill_.spec.source = api::RangeSource{7, 1000};
    backfill_.spec.target.url = "http://orders/{{key}}";
  }
  std::vector<RequestSample> Samples() { return SampleRequests(backfill_).value(); }
  std::vector<std::string> Keys() {
    std::vector<std::string> keys;
    for (const RequestSample& sample : Samples()) keys.push_back(sample.key);
    return keys;
  }
  api::Backfill backfill_;
};

TEST_F(PlanSamplesTest, AreOfTheFirstRecords) {
  EXPECT_THAT(Keys(), ElementsAre("7", "8", "9"));
  backfill_.spec.source = api::KeysSource{{"b", "a"}};
  EXPECT_THAT(Keys(), ElementsAre("b", "a"));
}

TEST_F(PlanSamplesTest, AreNoneWhereThereAreNoRecords) {
  backfill_.spec.source = api::RangeSource{7, 7};
  EXPECT_THAT(Keys(), SizeIs(0));
  backfill_.spec.workers.batch_size = 10;
  backfill_.spec.target.url = "http://orders";
  backfill_.spec.target.body = "{{records}}";
  EXPECT_THAT(Keys(), SizeIs(0));
}

TEST_F(PlanSamplesTest, EndWithTheLargestKey) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  backfill_.spec.source = api::RangeSource{kMost - 1, kMost};
  EXPECT_THAT(Keys(), ElementsAre("9223372036854775806"));
}

TEST_F(PlanSamplesTest, ShowTheWholeRequestAsItLeaves) {
  backfill_.spec.source = api::KeysSource{{"a/b"}};
  backfill_.spec.target.method = "PUT";
  backfill_.spec.target.headers = {{"X-Run", "{{backfill.name}}"}, {"Authorization", "Bearer s3"}};
  backfill_.spec.target.body = R"({"id": "{{key}}"})";
  EXPECT_EQ(Samples().front().request,
            "PUT http://orders/a%2Fb\n"
            "Authorization: (left out)\n"
            "X-Run: reprice\n"
            "Content-Type: application/json\n"
            "Idempotency-Key: uid-of-the-backfill/a%2Fb\n"
            "\n"
            "{\"id\": \"a/b\"}");
}

TEST_F(PlanSamplesTest, OfBatchesAreOne) {
  backfill_.spec.workers.batch_size = 2;
  backfill_.spec.target.url = "http://orders";
  backfill_.spec.target.body = "{{records}}";
  ASSERT_THAT(Samples(), SizeIs(1));
  EXPECT_THAT(Samples().front().request, HasSubstr("\n[{\"key\":7},{\"key\":8}]"));
}

TEST_F(PlanSamplesTest, AreCut) {
  backfill_.spec.target.body = std::string(60'000, 'x');
  for (const RequestSample& sample : Samples()) EXPECT_LE(sample.request.size(), 2048U);
}

TEST_F(PlanSamplesTest, OfWhatNoWorkerCouldSendIsAnError) {
  backfill_.spec.target.headers = {{"Host", "elsewhere"}};
  const auto samples = SampleRequests(backfill_);
  ASSERT_FALSE(samples.ok());
  EXPECT_EQ(samples.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(samples.error().message, HasSubstr("spec.target.http: headers: Host"));
}

}  // namespace
}  // namespace backfill::cli
