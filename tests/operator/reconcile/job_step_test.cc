#include "operator/reconcile/job_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/reconcile/worker_job.h"

namespace backfill::reconcile {
namespace {

using Kind = JobStep::Kind;
using testing::HasSubstr;

WantedJob Wanted(int replicas) {
  return {.backfill = "a", .backfill_uid = "u", .replicas = replicas, .template_hash = "h"};
}

kube::Job JobOf(int replicas) {
  kube::Job job;
  job.meta.name = "a-run";
  job.meta.resource_version = "7";
  job.meta.labels[std::string(kTemplateHashLabel)] = "h";
  job.meta.owners = {{"backfill.dev/v1alpha1", "Backfill", "a", "u", true}};
  job.completions = job.parallelism = replicas;
  return job;
}

kube::Job Ended(const char* type, const char* reason = "") {
  kube::Job job = JobOf(3);
  job.conditions = {{type, "True", reason, "", ""}};
  return job;
}

TEST(JobStepTest, ThereIsNoneAndNoneIsWanted) {
  EXPECT_EQ(NextStep(nullptr, Wanted(0)).kind, Kind::kNothing);
  EXPECT_EQ(NextStep(nullptr, Wanted(3)).kind, Kind::kCreate);
}

TEST(JobStepTest, R28_OnlyWhatDiffersIsWritten) {
  kube::Job job = JobOf(3);
  EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kNothing);
  EXPECT_EQ(NextStep(&job, Wanted(5)).patch,
            R"({"metadata":{"resourceVersion":"7"},"spec":{"completions":5,"parallelism":5}})");
  EXPECT_EQ(NextStep(&job, Wanted(1)).patch,
            R"({"metadata":{"resourceVersion":"7"},"spec":{"completions":1,"parallelism":1}})");
  job.suspend = true;
  EXPECT_EQ(NextStep(&job, Wanted(3)).patch,
            R"({"metadata":{"resourceVersion":"7"},"spec":{"suspend":false}})");
  EXPECT_EQ(
      NextStep(&job, Wanted(4)).patch,
      R"({"metadata":{"resourceVersion":"7"},"spec":{"completions":4,"parallelism":4,"suspend":false}})");
  job.suspend = false;
  job.parallelism = 2;  // somebody else's doing
  EXPECT_EQ(NextStep(&job, Wanted(3)).patch,
            R"({"metadata":{"resourceVersion":"7"},"spec":{"completions":3,"parallelism":3}})");
}

TEST(JobStepTest, NeverZero) {
  kube::Job job = JobOf(3);
  EXPECT_EQ(NextStep(&job, Wanted(0)).patch,
            R"({"metadata":{"resourceVersion":"7"},"spec":{"suspend":true}})");
  job.suspend = true;
  EXPECT_EQ(NextStep(&job, Wanted(0)).kind, Kind::kNothing);
}

TEST(JobStepTest, WithFewerWorkersThereAreFewerJobs) {
  const kube::Job job = JobOf(3);
  WantedJob wanted = Wanted(0);
  wanted.needed = false;
  EXPECT_EQ(NextStep(&job, wanted).kind, Kind::kDelete);
}

TEST(JobStepTest, AnotherTemplateIsAnotherJob) {
  kube::Job job = JobOf(3);
  job.meta.labels[std::string(kTemplateHashLabel)] = "old";
  const JobStep step = NextStep(&job, Wanted(3));
  EXPECT_EQ(step.kind, Kind::kDelete);
  EXPECT_THAT(step.why, HasSubstr("template"));
  job.meta.deletion_time = "2026-01-01T00:00:00Z";
  EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kAwait);
}

TEST(JobStepTest, CoverageDecidesNotTheJob) {
  for (const char* type : {"Complete", "Failed"}) {
    const kube::Job job = Ended(type);
    EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kDelete) << type;
    EXPECT_EQ(NextStep(&job, Wanted(0)).kind, Kind::kNothing) << "it can be looked at";
  }
}

TEST(JobStepTest, R23_NothingForeignIsAdopted) {
  kube::Job job = JobOf(3);
  job.meta.owners.clear();
  EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kConflict);
  EXPECT_EQ(NextStep(&job, Wanted(0)).kind, Kind::kNothing);
  job.meta.owners = {{"batch/v1", "CronJob", "nightly", "x", true}};
  EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kConflict);
  EXPECT_THAT(NextStep(&job, Wanted(3)).why, HasSubstr("CronJob nightly"));
  job.meta.owners = {{"backfill.dev/v1alpha1", "Backfill", "b", "x", true}};
  EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kConflict);
  job.meta.owners[0].name = "a";  // of the same name, so it is gone
  EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kAwait);
  job.meta.owners = {{"v1", "ConfigMap", "a", "u", true}};  // the uid alone says nothing
  EXPECT_EQ(NextStep(&job, Wanted(3)).kind, Kind::kConflict);
}

TEST(JobStepTest, AQueueStartsAndStopsItsJobs) {
  kube::Job job = JobOf(3);
  job.suspend = true;
  WantedJob wanted = Wanted(3);
  wanted.queued = true;
  EXPECT_EQ(NextStep(&job, wanted).kind, Kind::kNothing);
  wanted.replicas = 5;
  EXPECT_EQ(NextStep(&job, wanted).patch,
            R"({"metadata":{"resourceVersion":"7"},"spec":{"completions":5,"parallelism":5}})");
  wanted.replicas = 0;
  EXPECT_EQ(NextStep(&job, wanted).kind, Kind::kDelete);
}

TEST(JobStepTest, AConfigErrorIsWhatThePolicySays) {
  EXPECT_TRUE(HasConfigError(Ended("Failed", "PodFailurePolicy")));
  EXPECT_TRUE(HasConfigError(Ended("FailureTarget", "PodFailurePolicy")));
  EXPECT_FALSE(HasConfigError(Ended("Failed", "FailedIndexes")));
  EXPECT_FALSE(HasConfigError(Ended("Complete")));
  EXPECT_FALSE(HasConfigError(JobOf(3)));
}

TEST(JobStepTest, APersonCanAskForAnotherTry) {
  kube::Job job = JobOf(3);
  WantedJob wanted = Wanted(3);
  EXPECT_TRUE(IsMadeFor(job, wanted));
  wanted.reconcile_at = "now";
  EXPECT_FALSE(IsMadeFor(job, wanted));
  EXPECT_EQ(NextStep(&job, wanted).kind, Kind::kNothing) << "what works is left alone";
  job.meta.annotations[std::string(kReconcileAtAnnotation)] = "now";
  EXPECT_TRUE(IsMadeFor(job, wanted));
}

}  // namespace
}  // namespace backfill::reconcile
