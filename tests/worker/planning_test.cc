// The worker of the stage `plan` as a process, with the coordinator as it is on a network: it finds
// what would have been planned where there is no cluster.
#include "tests/operator/coordinator/worker_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "operator/coordinator/coordinator.h"
#include "operator/reconcile/spec_plan.h"
#include "tests/fakes/memory_store.h"
#include "tests/operator/coordinator/fake_authenticator.h"
#include "tests/operator/coordinator/plans.h"
#include "tests/operator/coordinator/shown_certificates.h"
#include "tests/worker/worker_process.h"

namespace backfill::coordinator {
namespace {

using namespace std::chrono_literals;
using fakes::WorkerProcess;
using reconcile::Stage;
using testing::HasSubstr;

class PlanningTest : public ::testing::Test {
 protected:
  PlanningTest() {
    char directory[] = "/tmp/backfill-planning-XXXXXX";
    directory_ = mkdtemp(directory);
    options_.server.listen = "127.0.0.1:0";
    options_.server.certificates = &certificates_;
    options_.server.authenticator = &authenticator_;
    backfill_.name = RunKey().name, backfill_.ns = RunKey().ns, backfill_.uid = RunKey().uid;
    backfill_.spec.source = api::FileSource{.path = directory_ / "rows.csv",
                                            .format = api::FileFormat::kCsv,
                                            .key = "id",
                                            .delimiter = {}};
    backfill_.spec.target.url = "http://127.0.0.1:1/{{key}}/{{fields.state}}";
    key_ = reconcile::KeyOf(backfill_, Stage::kPlan);
    WorkerIdentity pod = WorkerPod("pod-0", 0, 0, key_);
    pod.worker = "plan-0";
    authenticator_.Know("token", pod);
    std::ofstream(directory_ / "token") << "token\n";
    std::ofstream(directory_ / "ca.crt") << certificates_.Pem();
    StartCoordinator();
  }
  ~PlanningTest() override {
    coordinator_.reset();
    std::filesystem::remove_all(directory_);
  }
  void StartCoordinator() {
    coordinator_.reset();
    coordinator_ = std::make_unique<Coordinator>(store_, clock_, leadership_, options_);
    const Status started = coordinator_->Start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  // Some rows are none, some keys are repeated, and none is in order.
  void FileHas(int rows) {
    std::ofstream file(directory_ / "rows.csv");
    file << "id,state\n";
    for (int i = 0; i < rows; ++i) {
      const int key = i * 7919 % rows;
      if (i % 1'000 == 7) {
        file << "\xff\xfe,broken\n";
      } else {
        file << (i % 5'000 == 11 ? 3 : key) << ",\"state of, " << i << "\"\n";
      }
    }
  }
  std::map<std::string, std::string> Environment() const {
    return {{"BACKFILL_COORDINATOR", coordinator_->address()},
            {"BACKFILL_TOKEN_FILE", directory_ / "token"},
            {"BACKFILL_CA_FILE", directory_ / "ca.crt"},
            {"BACKFILL_UID", RunKey().uid},
            {"BACKFILL_NAMESPACE", RunKey().ns},
            {"BACKFILL_NAME", RunKey().name},
            {"BACKFILL_STAGE", "plan"},
            {"BACKFILL_POOL", "0"},
            {"JOB_COMPLETION_INDEX", "0"},
            {"BACKFILL_POD_UID", "pod-0"}};
  }
  bool Ended() {
    return fakes::Eventually(
        [&] {
          const auto seen = coordinator_->Planning(backfill_);
          return seen && seen->ended;
        },
        60s);
  }

  std::filesystem::path directory_;
  SystemClock clock_;
  SoleLeader leadership_;
  fakes::MemoryStore store_;
  FakeAuthenticator authenticator_;
  ShownCertificates certificates_;
  CoordinatorOptions options_;
  api::Backfill backfill_;
  reconcile::StageKey key_;
  std::unique_ptr<Coordinator> coordinator_;
};

TEST_F(PlanningTest, ThePlanIsTheOneThatPlanningHereWouldHaveMade) {
  FileHas(50'000);
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok());
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Ended());
  const auto by_worker = reconcile::PlanFound(backfill_, *coordinator_);
  ASSERT_TRUE(by_worker.ok()) << by_worker.error().message;
  const auto here = reconcile::PlanFor(backfill_.spec, {});
  ASSERT_TRUE(here.ok()) << here.error().message;
  EXPECT_EQ(by_worker->hash, here->hash);
  EXPECT_EQ(by_worker->shards, here->shards);
  EXPECT_EQ(by_worker->records, 50'000u);
  EXPECT_EQ(by_worker->file->bad_records, 50u);
  EXPECT_EQ(by_worker->file, here->file);
  EXPECT_EQ(coordinator_->Planning(backfill_)->records, 50'000u);
  worker.Signal(SIGTERM);
  EXPECT_EQ(worker.ExitCode(), 143);
}

TEST_F(PlanningTest, F10_WhatWasFoundIsSentAgainToWhoLeadsNext) {
  FileHas(20'000);
  options_.server.listen = "127.0.0.1:" + std::to_string([&] {
                             const std::string address = coordinator_->address();
                             return std::stoi(address.substr(address.rfind(':') + 1));
                           }());
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok());
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Ended());
  StartCoordinator();
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok());
  ASSERT_TRUE(Ended());
  EXPECT_TRUE(coordinator_->Found(key_).ok());
  EXPECT_TRUE(worker.running());
}

TEST_F(PlanningTest, AFileThatIsNotThereMayComeLater) {
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok());
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Ended());
  const auto found = coordinator_->Found(key_);
  EXPECT_EQ(found.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(found.error().message, HasSubstr("rows.csv"));
  EXPECT_EQ(reconcile::PlanFound(backfill_, *coordinator_).error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(coordinator_->Planning(backfill_)) << "the next try begins anew";
}

TEST_F(PlanningTest, AFileThatCannotBePlannedIsSaidToBeSo) {
  FileHas(10);
  backfill_.spec.target.url = "http://127.0.0.1:1/{{fields.nothing}}";
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok());
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Ended());
  const auto found = coordinator_->Found(key_);
  EXPECT_EQ(found.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(found.error().message, HasSubstr("target.http.url"));
  EXPECT_THAT(found.error().message, HasSubstr("{{fields.nothing}} is no column"));
}

TEST_F(PlanningTest, F18_APodOfAnotherStageCannotSayWhatThePlanIs) {
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok());
  authenticator_.Know("token", WorkerPod("pod-0", 0, 0, RunKey()));
  WorkerProcess worker(Environment());
  ASSERT_TRUE(fakes::Eventually([&] { return coordinator_->counts().foreign > 0; }, 60s));
  EXPECT_FALSE(coordinator_->Planning(backfill_)->connected);
}

TEST_F(PlanningTest, APlanningThatIsClosedSendsItsWorkerAway) {
  FileHas(10);
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok());
  ASSERT_TRUE(coordinator_->Open(backfill_, key_).ok()) << "once more changes nothing";
  WorkerProcess worker(Environment());
  ASSERT_TRUE(Ended());
  ASSERT_TRUE(coordinator_->Close(key_).ok());
  EXPECT_FALSE(coordinator_->Planning(backfill_));
  EXPECT_EQ(coordinator_->Found(key_).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(coordinator_->Snapshot(key_));
}

}  // namespace
}  // namespace backfill::coordinator
