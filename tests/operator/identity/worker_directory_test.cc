#include "operator/identity/worker_directory.h"

#include "tests/operator/identity/identity_bench.h"

namespace backfill::identity {
namespace {

using Made = IdentityBench::Made;

class WorkerDirectoryTest : public ::testing::Test, protected IdentityBench {
 protected:
  WorkerDirectoryTest() {
    backfill_ = MakeBackfill("reprice");
    job_ = MakeJob(backfill_, "reprice-run");
    pod_ = MakePod(job_, 3);
  }
  // As the caches say; both ways say the same where the caches have it all.
  Refusal RefusalOf(const Made& pod) {
    LetCachesSee();
    const auto cached = directory_.FindCached(ClaimOfPod(pod));
    EXPECT_TRUE(cached.has_value());
    const auto found = directory_.Find(ClaimOfPod(pod), Limits());
    EXPECT_FALSE(found.ok());
    if (found.ok()) return Refusal::kUnavailable;
    EXPECT_TRUE(cached && cached->error().why == found.error().why);
    return found.error().why;
  }
  Refusal LiveRefusalOf(const PodClaim& claim) {
    const auto found = directory_.Find(claim, Limits());
    EXPECT_FALSE(found.ok());
    return found.ok() ? Refusal::kOverloaded : found.error().why;
  }

  Made backfill_, job_, pod_;
};

TEST_F(WorkerDirectoryTest, APodOfAJobOfABackfillIsAWorker) {
  LetCachesSee();
  server_.ForgetCalls();
  const auto found = directory_.FindCached(ClaimOfPod(pod_));
  ASSERT_TRUE(found && found->ok());
  const coordinator::WorkerIdentity& worker = **found;
  EXPECT_EQ(
      worker.stage,
      (reconcile::StageKey{
          .ns = "shop", .name = "reprice", .uid = backfill_.uid, .stage = reconcile::Stage::kRun}));
  EXPECT_EQ(worker.worker, "run-3");
  EXPECT_EQ(worker.instance, pod_.uid);
  EXPECT_TRUE(ParseWallTime(worker.created)) << worker.created;
  EXPECT_EQ(*directory_.Find(ClaimOfPod(pod_), Limits()), worker);
  EXPECT_EQ(server_.Count(), 0);
}

TEST_F(WorkerDirectoryTest, AWorkerOfALaterPoolHasASlotBehindThoseOfTheOthers) {
  const Made job = MakeJob(backfill_, "reprice-dry-run-2", "dry-run", "2");
  const Made pod = MakePod(job, 499);
  LetCachesSee();
  const auto found = directory_.FindCached(ClaimOfPod(pod));
  ASSERT_TRUE(found && found->ok());
  EXPECT_EQ((*found)->worker, "dry-run-1499");
  EXPECT_EQ((*found)->stage.stage, reconcile::Stage::kDryRun);
}

TEST_F(WorkerDirectoryTest, ThePodThatPlansMayActForThatAlone) {
  const Made job = MakeJob(backfill_, "reprice-plan", "plan");
  const Made pod = MakePod(job, 0);
  LetCachesSee();
  const auto found = directory_.FindCached(ClaimOfPod(pod));
  ASSERT_TRUE(found && found->ok());
  EXPECT_EQ((*found)->worker, "plan-0");
  EXPECT_EQ((*found)->stage.stage, reconcile::Stage::kPlan);
}

// As where each watched namespace has caches of its own.
TEST_F(WorkerDirectoryTest, OfSeveralCachesEachIsLookedInto) {
  LetCachesSee();
  const kube::ObjectCache none;
  const WorkerDirectory::Caches other{.pods = &none, .jobs = &none, .backfills = &none};
  const WorkerDirectory::Caches ours{.pods = &pods_, .jobs = &jobs_, .backfills = &backfills_};
  for (const auto& caches : {std::vector{other, ours}, std::vector{ours, other}}) {
    const auto found = WorkerDirectory(caches, client_).FindCached(ClaimOfPod(pod_));
    EXPECT_TRUE(found && found->ok());
  }
  EXPECT_EQ(WorkerDirectory({other}, client_).FindCached(ClaimOfPod(pod_)), std::nullopt);
  EXPECT_EQ(
      WorkerDirectory(std::vector<WorkerDirectory::Caches>{}, client_).FindCached(ClaimOfPod(pod_)),
      std::nullopt);
}

TEST_F(WorkerDirectoryTest, WhatTheCachesDoNotHaveYetIsReadLive) {
  EXPECT_EQ(directory_.FindCached(ClaimOfPod(pod_)), std::nullopt);
  const auto found = directory_.Find(ClaimOfPod(pod_), Limits());
  ASSERT_TRUE(found.ok()) << found.error().detail;
  EXPECT_EQ(found->worker, "run-3");
  EXPECT_EQ(found->stage.uid, backfill_.uid);
  EXPECT_EQ(server_.Count({.verb = "get"}), 3);
}

// F18
TEST_F(WorkerDirectoryTest, APodOfNobodyOrOfSomebodyElseIsNoWorker) {
  EXPECT_EQ(RefusalOf(MakePod(job_, 500)), Refusal::kNotOurWorker);  // no Job has that index
  EXPECT_EQ(RefusalOf(MakePod(job_, 4, "ReplicaSet")), Refusal::kNotOurWorker);
  const Made other = MakeJob({.name = "reprice", .uid = "another"}, "reprice-verify", "run");
  EXPECT_EQ(RefusalOf(MakePod(other, 0)), Refusal::kNotOurWorker);
}

// F15: anybody may write an owner and labels, but nobody can take the name.
TEST_F(WorkerDirectoryTest, F15_AForeignJobThatNamesOurBackfillIsNotBelieved) {
  for (const auto& [name, stage, pool] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"evil", "run", "0"},
           {"reprice-run-9", "run", "9"},
           {"reprice-run-01", "run", "01"},
           {"reprice-canary", "canary", "0"},
           {"reprice-x", "", ""}}) {
    EXPECT_EQ(RefusalOf(MakePod(MakeJob(backfill_, name, stage, pool), 0)), Refusal::kNotOurWorker)
        << name;
  }
}

TEST_F(WorkerDirectoryTest, ABackfillThatIsGoneOrAnotherOfItsNameHasNoWorkers) {
  const Made job =
      MakeJob({.name = "reprice", .uid = "an earlier one"}, "reprice-dry-run", "dry-run");
  const Made pod = MakePod(job, 0);
  LetCachesSee();
  EXPECT_EQ(directory_.FindCached(ClaimOfPod(pod)), std::nullopt);
  EXPECT_EQ(LiveRefusalOf(ClaimOfPod(pod)), Refusal::kNotOurWorker);
}

// F18: the replay after the pod's end.
TEST_F(WorkerDirectoryTest, F18_APodThatIsGoneOrWhoseNameIsAnothersIsRefused) {
  LetCachesSee();
  Delete(PodPath(pod_));
  LetCachesSee();
  EXPECT_EQ(LiveRefusalOf(ClaimOfPod(pod_)), Refusal::kPodGone);
  PodClaim other = ClaimOfPod(MakePod(job_, 4));
  other.uid = "another";
  LetCachesSee();
  EXPECT_EQ(LiveRefusalOf(other), Refusal::kPodGone);
}

// F18
TEST_F(WorkerDirectoryTest, F18_APodThatHasEndedIsRefused) {
  SetStatus(PodPath(pod_), {{"phase", "Failed"}});
  EXPECT_EQ(LiveRefusalOf(ClaimOfPod(pod_)), Refusal::kPodEnded);
  for (const char* indexes : {"3", "0,3", "1-4", "0-2,3-7", "2,3,9"}) {
    SetStatus(JobPath(job_), {{"completedIndexes", indexes}});
    EXPECT_EQ(RefusalOf(pod_), Refusal::kPodEnded) << indexes;
  }
  SetStatus(JobPath(job_), {{"completedIndexes", nullptr}, {"failedIndexes", "3"}});
  EXPECT_EQ(RefusalOf(pod_), Refusal::kPodEnded);
}

TEST_F(WorkerDirectoryTest, OtherIndexesThatHaveEndedAreNoReasonToRefuse) {
  for (const char* indexes : {"", "2", "0-2,4-7", "13,30-39", "nonsense", "-", "3-", ",,"}) {
    SetStatus(JobPath(job_), {{"completedIndexes", indexes}});
    LetCachesSee();
    const auto found = directory_.FindCached(ClaimOfPod(pod_));
    EXPECT_TRUE(found && found->ok()) << indexes;
  }
}

TEST_F(WorkerDirectoryTest, APodThatIsBeingDeletedMayStillGiveItsLeasesBack) {
  const auto patched = server_.Do(kube::HttpMethod::kPatch, PodPath(pod_),
                                  R"({"metadata":{"finalizers":["example.com/wait"]}})",
                                  "application/merge-patch+json");
  ASSERT_EQ(patched.status, 200) << patched.body;
  Delete(PodPath(pod_));
  LetCachesSee();
  const auto found = directory_.FindCached(ClaimOfPod(pod_));
  EXPECT_TRUE(found && found->ok());
}

TEST_F(WorkerDirectoryTest, WhenTheServerCannotBeAskedItIsNotKnown) {
  server_.GoDown();
  EXPECT_EQ(LiveRefusalOf(ClaimOfPod(pod_)), Refusal::kUnavailable);
  server_.ComeBack();
  server_.FailNext(1, fakes::Fault::ForbiddenByRole());
  EXPECT_EQ(LiveRefusalOf(ClaimOfPod(pod_)), Refusal::kUnavailable);
}

}  // namespace
}  // namespace backfill::identity
