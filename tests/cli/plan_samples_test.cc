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
    spec_.source = api::RangeSource{7, 1000};
    spec_.target.url = "http://orders/{{key}}";
  }
  std::vector<RequestSample> Samples() { return SampleRequests("reprice", spec_).value(); }
  std::vector<std::string> Keys() {
    std::vector<std::string> keys;
    for (const RequestSample& sample : Samples()) keys.push_back(sample.key);
    return keys;
  }
  api::Spec spec_;
};

TEST_F(PlanSamplesTest, AreOfTheFirstRecords) {
  EXPECT_THAT(Keys(), ElementsAre("7", "8", "9"));
  spec_.source = api::KeysSource{.keys = {"b", "a"}};
  EXPECT_THAT(Keys(), ElementsAre("b", "a"));
}

TEST_F(PlanSamplesTest, AreNoneWhereThereAreNoRecords) {
  spec_.source = api::RangeSource{7, 7};
  EXPECT_THAT(Keys(), SizeIs(0));
  spec_.workers.batch_size = 10;
  spec_.target.url = "http://orders";
  spec_.target.body = "{{records}}";
  EXPECT_THAT(Keys(), SizeIs(0));
}

TEST_F(PlanSamplesTest, EndWithTheLargestKey) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  spec_.source = api::RangeSource{kMost - 1, kMost};
  EXPECT_THAT(Keys(), ElementsAre("9223372036854775806"));
}

TEST_F(PlanSamplesTest, ShowTheWholeRequestAsItLeaves) {
  spec_.source = api::KeysSource{.keys = {"a/b"}};
  spec_.target.method = "PUT";
  spec_.target.headers = {{"X-Run", "{{backfill.name}}"}, {"Authorization", "Bearer s3"}};
  spec_.target.body = R"({"id": "{{key}}"})";
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
  spec_.workers.batch_size = 2;
  spec_.target.url = "http://orders";
  spec_.target.body = "{{records}}";
  ASSERT_THAT(Samples(), SizeIs(1));
  EXPECT_THAT(Samples().front().request, HasSubstr("\n[{\"key\":7},{\"key\":8}]"));
}

TEST_F(PlanSamplesTest, KeysThatWereNumbersStayNumbers) {
  spec_.source = api::KeysSource{.keys = {"7"}, .numeric = true};
  spec_.target.body = "{{record}}";
  EXPECT_THAT(Samples().front().request, HasSubstr("{\"key\":7}"));
}

TEST_F(PlanSamplesTest, AreCut) {
  spec_.target.body = std::string(60'000, 'x');
  for (const RequestSample& sample : Samples()) EXPECT_LE(sample.request.size(), 2048U);
}

TEST_F(PlanSamplesTest, OfWhatNoWorkerCouldSendIsAnError) {
  spec_.target.headers = {{"Host", "elsewhere"}};
  const auto samples = SampleRequests("reprice", spec_);
  ASSERT_FALSE(samples.ok());
  EXPECT_EQ(samples.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(samples.error().message, HasSubstr("spec.target.http: headers: Host"));
}

}  // namespace
}  // namespace backfill::cli
