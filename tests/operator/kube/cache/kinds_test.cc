#include "operator/kube/cache/kinds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "operator/kube/client/wire.h"
#include "tests/operator/kube/cache/workload_text.h"

namespace backfill::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::SizeIs;

std::shared_ptr<const Job> JobOf(const std::string& text) {
  const Result<ApiObjectPtr> object = ParseObject(text, &DecodeJob);
  EXPECT_TRUE(object.ok()) << (object.ok() ? "" : object.error().message);
  return object.ok() ? As<Job>(*object) : nullptr;
}

std::shared_ptr<const Pod> PodOf(const std::string& text) {
  const Result<ApiObjectPtr> object = ParseObject(text, &DecodePod);
  EXPECT_TRUE(object.ok()) << (object.ok() ? "" : object.error().message);
  return object.ok() ? As<Pod>(*object) : nullptr;
}

std::string ErrorOfJob(const std::string& text) {
  const Result<ApiObjectPtr> object = ParseObject(text, &DecodeJob);
  return object.ok() ? "none" : object.error().message;
}

TEST(KindsTest, AJobIsReadWithAllThatItsRulesNeed) {
  const auto job = JobOf(WorkerJobText({.version = "77", .index = 4}));
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->meta.name, "reprice-orders-of-last-year-run-4");
  EXPECT_EQ(job->meta.resource_version, "77");
  ASSERT_NE(job->meta.controller(), nullptr);
  EXPECT_EQ(job->meta.controller()->kind, "Backfill");
  EXPECT_EQ(job->meta.labels.at("backfill.dev/stage"), "run");
  EXPECT_EQ(job->completions, 500);
  EXPECT_EQ(job->parallelism, 500);
  EXPECT_FALSE(job->suspend);
  EXPECT_EQ(job->active, 480);
  EXPECT_EQ(job->ready, 479);
  EXPECT_EQ(job->terminating, 3);
  EXPECT_EQ(job->succeeded, 17);
  EXPECT_EQ(job->failed, 5);
  EXPECT_EQ(job->completed_indexes, "0-3,7,9-20");
  EXPECT_EQ(job->failed_indexes, "33");
  EXPECT_THAT(job->conditions, SizeIs(2));
  EXPECT_TRUE(job->IsTrue("FailureTarget"));
  EXPECT_EQ(job->Condition("FailureTarget")->reason, "PodFailurePolicy");
  EXPECT_FALSE(job->IsTrue("Suspended"));
  EXPECT_FALSE(job->IsTrue("Failed"));
  EXPECT_FALSE(job->IsFinished());
}

TEST(KindsTest, R11_OfAJobsAnnotationsOnlyThoseThatAreReadAreKept) {
  EXPECT_THAT(JobOf(WorkerJobText({}))->meta.annotations,
              ElementsAre(Key("backfill.dev/plan-hash")));
}

TEST(KindsTest, AJobThatHasJustBeenCreatedHasNoStatus) {
  const auto job = JobOf(R"({"metadata":{"name":"a"},"spec":{"suspend":true},"status":null})");
  ASSERT_NE(job, nullptr);
  EXPECT_TRUE(job->suspend);
  EXPECT_EQ(job->parallelism, 1);
  EXPECT_EQ(job->completions, 1);
  EXPECT_EQ(job->active, 0);
  EXPECT_THAT(job->conditions, IsEmpty());
}

TEST(KindsTest, AFinishedJobIsCompleteOrFailed) {
  const auto with = [](const std::string& type, const std::string& status) {
    return JobOf(R"({"metadata":{"name":"a"},"status":{"conditions":[{"type":")" + type +
                 R"(","status":")" + status + R"("}]}})")
        ->IsFinished();
  };
  EXPECT_TRUE(with("Complete", "True"));
  EXPECT_TRUE(with("Failed", "True"));
  EXPECT_FALSE(with("Complete", "False"));
  EXPECT_FALSE(with("SuccessCriteriaMet", "True"));
}

TEST(KindsTest, F23_AWrongTypeOrRangeIsAnErrorThatNamesTheField) {
  EXPECT_THAT(ErrorOfJob(R"({"metadata":{"name":"a"},"spec":{"parallelism":"many"}})"),
              HasSubstr("parallelism"));
  EXPECT_THAT(ErrorOfJob(R"({"metadata":{"name":"a"},"spec":{"completions":-1}})"),
              HasSubstr("completions"));
  EXPECT_THAT(ErrorOfJob(R"({"metadata":{"name":"a"},"status":{"active":4294967296}})"),
              HasSubstr("active"));
  EXPECT_THAT(ErrorOfJob(R"({"metadata":{"name":"a"},"status":{"conditions":{}}})"),
              HasSubstr("conditions"));
  EXPECT_THAT(ErrorOfJob(R"({"metadata":{"name":7}})"), HasSubstr("name"));
}

TEST(KindsTest, R11_LongTextsAreCutOutsideOfCharacters) {
  std::string message;
  for (int i = 0; i < 400; ++i) message += "ä";
  const auto job = JobOf(
      R"({"metadata":{"name":"a"},"status":{"completedIndexes":")" + std::string(5000, '1') +
      R"(","conditions":[{"type":"Failed","status":"True","message":"x)" + message + R"("}]}})");
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->conditions.front().message.size(), 511U);
  EXPECT_EQ(job->completed_indexes, "");
}

TEST(KindsTest, R11_OfAPodOnlyItsIdentityIsKept) {
  for (const std::string& text : {WorkerPodText({.version = "77", .index = 12}),
                                  WorkerPodMetadataText({.version = "77", .index = 12})}) {
    const auto pod = PodOf(text);
    ASSERT_NE(pod, nullptr);
    EXPECT_EQ(pod->meta.name, "reprice-orders-of-last-year-run-12-x7k2p");
    EXPECT_EQ(pod->meta.uid, "7d3e0b52-8c1f-4d6a-b0a7-000000000012");
    EXPECT_EQ(pod->meta.creation_time, "2026-11-27T10:00:00Z");
    EXPECT_EQ(pod->completion_index, 12);
    ASSERT_NE(pod->meta.controller(), nullptr);
    EXPECT_EQ(pod->meta.controller()->uid, "5a0c4f9d-11d2-4c55-8f8e-9d1a2b3c4d5e");
    EXPECT_EQ(pod->backfill_uid, "0c8a3a9e-7a51-4f0e-9f44-6f2f0a4f3c11");
    EXPECT_THAT(ByBackfillOfPod().keys(*pod), ElementsAre(pod->backfill_uid));
    EXPECT_THAT(pod->meta.labels, IsEmpty());
    EXPECT_THAT(pod->meta.annotations, IsEmpty());
    EXPECT_THAT(pod->meta.finalizers, IsEmpty());
  }
}

TEST(KindsTest, OfAConfigMapTheTextIsKept) {
  const auto read =
      ParseObject(R"({"metadata":{"name":"a"},"data":{"color":"red"},"binaryData":{"b":"AA=="}})",
                  DecodeConfigMap);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_THAT(As<ConfigMap>(*read)->data, ElementsAre(std::pair("color", "red")));
  EXPECT_THAT(As<ConfigMap>(*ParseObject(R"({"metadata":{"name":"a"}})", DecodeConfigMap))->data,
              IsEmpty());
  EXPECT_FALSE(ParseObject(R"({"metadata":{"name":"a"},"data":{"n":1}})", DecodeConfigMap).ok());
}

TEST(KindsTest, APodTellsWhichWorkerItIsAndWhetherItsEndIsCounted) {
  const auto pod = PodOf(
      R"({"metadata":{"name":"a","labels":{"backfill.dev/stage":"run","backfill.dev/pool":"3"},
      "finalizers":["x","batch.kubernetes.io/job-tracking"]}})");
  EXPECT_EQ(pod->stage, "run");
  EXPECT_EQ(pod->pool, 3);
  EXPECT_TRUE(pod->tracked);
  const auto other =
      PodOf(R"({"metadata":{"name":"a","labels":{"backfill.dev/pool":"-3"},"finalizers":["x"]}})");
  EXPECT_EQ(other->stage, "");
  EXPECT_EQ(other->pool, 0);
  EXPECT_FALSE(other->tracked);
}

TEST(KindsTest, APodWithoutAnIndexIsOneOfNoIndexedJob) {
  EXPECT_EQ(PodOf(R"({"metadata":{"name":"a"}})")->completion_index, std::nullopt);
  for (const char* index : {"", "-1", "x", "1x", "99999999999"}) {
    const std::string text =
        R"({"metadata":{"name":"a","annotations":{"batch.kubernetes.io/job-completion-index":")" +
        std::string(index) + R"("}}})";
    EXPECT_EQ(PodOf(text)->completion_index, std::nullopt) << index;
  }
}

}  // namespace
}  // namespace backfill::kube
