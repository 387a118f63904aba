#include "cli/plan_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <limits>
#include <vector>

#include "operator/reconcile/spec_plan.h"
#include "tests/cli/temp_dir.h"

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
  std::vector<RequestSample> Samples() {
    const plan::Plan plan = reconcile::PlanFor(spec_, {}).value();
    return SampleRequests("reprice", spec_, plan).value();
  }
  // The source is a file with that text.
  void IsFile(api::FileFormat format, const std::string& text) {
    const std::string path = (dir_ / "rows").string();
    std::ofstream(path) << text;
    spec_.source = api::FileSource{.path = path, .format = format, .key = "id", .delimiter = ""};
    if (format == api::FileFormat::kLines) std::get<api::FileSource>(spec_.source).key.clear();
  }
  std::vector<std::string> Keys() {
    std::vector<std::string> keys;
    for (const RequestSample& sample : Samples()) keys.push_back(sample.key);
    return keys;
  }
  TempDir dir_;
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
  spec_.target.secret_headers = {
      {.name = "X-Token", .prefix = "T ", .file = "/run/token", .env = ""}};
  spec_.target.body = R"({"id": "{{key}}"})";
  EXPECT_EQ(Samples().front().request,
            "PUT http://orders/a%2Fb\n"
            "Authorization: (left out)\n"
            "X-Run: reprice\n"
            "Content-Type: application/json\n"
            "X-Token: (left out)\n"
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

TEST_F(PlanSamplesTest, OfAFileAreItsFirstGoodRows) {
  IsFile(api::FileFormat::kCsv, "id,why\n1,\"a \"\"b\"\"\"\n2\n3,c\n,d\n4,e\n5,f\n");
  spec_.target.url = "http://orders/{{key}}?why={{fields.why}}";
  EXPECT_THAT(Keys(), ElementsAre("1", "3", "4"));
  EXPECT_THAT(Samples().front().request, HasSubstr("http://orders/1?why=a%20%22b%22\n"));
}

TEST_F(PlanSamplesTest, OfLinesAreKeys) {
  IsFile(api::FileFormat::kLines, "a/b\n\nc\n");
  EXPECT_THAT(Samples().front().request, HasSubstr("POST http://orders/a%2Fb\n"));
  EXPECT_THAT(Keys(), ElementsAre("a/b", "c"));
}

TEST_F(PlanSamplesTest, OfNdJsonAreObjectsAsTheyStand) {
  IsFile(api::FileFormat::kNdJson, "{\"id\": 7, \"n\": [1,  2]}\n{}\n");
  spec_.target.body = "{{record}}";
  ASSERT_THAT(Keys(), ElementsAre("7"));
  EXPECT_THAT(Samples().front().request, HasSubstr("\n{\"id\": 7, \"n\": [1,  2]}"));
}

TEST_F(PlanSamplesTest, OfAFileInBatchesAreOne) {
  IsFile(api::FileFormat::kLines, "a\nb\nc\nd\n");
  spec_.workers.batch_size = 3;
  spec_.target.url = "http://orders";
  spec_.target.body = "{{records}}";
  ASSERT_THAT(Samples(), SizeIs(1));
  EXPECT_THAT(Samples().front().request,
              HasSubstr("\n[{\"key\":\"a\"},{\"key\":\"b\"},{\"key\":\"c\"}]"));
}

TEST_F(PlanSamplesTest, OfAFileThatHasOnlyBadRowsAreNone) {
  IsFile(api::FileFormat::kCsv, "id,why\n1\n2\n");
  EXPECT_THAT(Keys(), SizeIs(0));
}

TEST_F(PlanSamplesTest, OfAFileThatHasChangedMeanwhileAreAnError) {
  IsFile(api::FileFormat::kLines, "a\nb\n");
  const plan::Plan plan = reconcile::PlanFor(spec_, {}).value();
  IsFile(api::FileFormat::kLines, "a\nc\n");
  const auto samples = SampleRequests("reprice", spec_, plan);
  ASSERT_FALSE(samples.ok());
  EXPECT_EQ(samples.error().code, ErrorCode::kConflict);
}

TEST_F(PlanSamplesTest, AreCut) {
  spec_.target.body = std::string(60'000, 'x');
  for (const RequestSample& sample : Samples()) EXPECT_LE(sample.request.size(), 2048U);
}

TEST_F(PlanSamplesTest, OfWhatNoWorkerCouldSendIsAnError) {
  spec_.target.headers = {{"Host", "elsewhere"}};
  const auto samples = SampleRequests("reprice", spec_, {});
  ASSERT_FALSE(samples.ok());
  EXPECT_EQ(samples.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(samples.error().message, HasSubstr("spec.target.http: headers: Host"));
}

}  // namespace
}  // namespace backfill::cli
