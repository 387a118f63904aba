#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/reconcile/job_pool.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/fake_job_controller.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::reconcile {

// A JobPool over an API server with a Job controller and kubelets. The caches see what has happened
// when See() says so; time and pods stand still until told otherwise.
class JobPoolFixture : public testing::Test {
 protected:
  using json = nlohmann::json;

  JobPoolFixture() {
    options_.job.coordinator = "dns:///backfill-coordinator.system.svc:9443";
    options_.job.image = "localhost/backfill/worker:1";
    options_.on_gone = [this](const StageKey&, const std::string& worker, const std::string& uid) {
      gone_.push_back(worker + " " + uid);
    };
    options_.on_deleted = [this](const StageKey&, const std::string& worker, const std::string&) {
      deleted_.push_back(worker);
    };
    backfill_.ns = "shop";
    backfill_.name = "reprice";
    const auto made = server_.Do(
        kube::HttpMethod::kPost, "/apis/backfill.dev/v1alpha1/namespaces/shop/backfills",
        R"({"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill","metadata":{"name":"reprice"},"spec":{}})");
    backfill_.uid = json::parse(made.body)["metadata"]["uid"].get<std::string>();
    backfill_.status.plan.emplace();
    backfill_.status.plan->hash = "sha256:ab";
    backfill_.status.plan->worker_image = "w:planned";
    Restart();
  }

  // The operator begins anew, with what it can list.
  void Restart() {
    pool_.reset();
    jobs_ = std::make_unique<kube::ObjectCache>(std::vector{kube::ByController()});
    pods_ = std::make_unique<kube::ObjectCache>(std::vector{kube::ByBackfillOfPod()});
    pool_.emplace(api_, *jobs_, *pods_, clock_, options_);
    pods_->AddListener(&*pool_);
    See();
  }

  // The caches catch up.
  void See() {
    Fill({kube::kJobs, &kube::DecodeJob}, *jobs_);
    Fill({kube::kPods, &kube::DecodePod}, *pods_);
  }

  Status Scale(int replicas) { return pool_->Scale(backfill_, Stage::kRun, replicas); }
  PoolStatus Observe() { return pool_->Observe(backfill_, Stage::kRun); }
  Status Stop() { return pool_->Stop(KeyOf(backfill_, Stage::kRun)); }

  // As a controller would: again and again, until nothing moves any more.
  PoolStatus Settle(int replicas) {
    for (int i = 0; i < 10; ++i) {
      const std::uint64_t before = server_.version();
      const Status scaled = Scale(replicas);
      EXPECT_TRUE(scaled.ok()) << scaled.error().message;
      controller_.Settle();
      See();
      if (server_.version() == before) break;
    }
    return Observe();
  }
  PoolStatus SettleStopped() {
    for (int i = 0; i < 10; ++i) {
      const std::uint64_t before = server_.version();
      EXPECT_TRUE(Stop().ok());
      controller_.Settle();
      See();
      if (server_.version() == before) break;
    }
    return Observe();
  }

  // The Job as the server has it; null if there is none.
  json Job(const std::string& name = "reprice-run") {
    const auto response =
        server_.Do(kube::HttpMethod::kGet, "/apis/batch/v1/namespaces/shop/jobs/" + name);
    return response.status == 200 ? json::parse(response.body) : json();
  }
  void MakeForeignJob(const std::string& owners) {
    server_.Do(kube::HttpMethod::kPost, "/apis/batch/v1/namespaces/shop/jobs",
               R"({"metadata":{"name":"reprice-run","ownerReferences":)" + owners +
                   R"(},"spec":{"completions":1,"parallelism":1,"suspend":true}})");
  }
  void DeleteJob(const std::string& name = "reprice-run") {
    server_.Do(kube::HttpMethod::kDelete,
               "/apis/batch/v1/namespaces/shop/jobs/" + name + "?propagationPolicy=Foreground");
  }
  // As whoever removes a namespace does.
  void DeletePods(const std::string& job = "reprice-run") {
    for (const std::string& pod : controller_.Running(job))
      server_.Do(kube::HttpMethod::kDelete, "/api/v1/namespaces/shop/pods/" + pod);
    See();
  }
  std::vector<std::string> Running() { return controller_.Running("reprice-run"); }
  int Calls(const std::string& verb) { return server_.Count({.verb = verb, .plural = "jobs"}); }
  int Writes() { return Calls("create") + Calls("patch") + Calls("delete"); }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  fakes::FakeJobController controller_{server_, clock_};
  const kube::ApiClient api_{server_, nullptr};
  JobPoolOptions options_;
  api::Backfill backfill_;
  std::vector<std::string> gone_, deleted_;
  std::unique_ptr<kube::ObjectCache> jobs_, pods_;
  std::optional<JobPool> pool_;

 private:
  void Fill(const kube::Resource& resource, kube::ObjectCache& cache) {
    const auto page = api_.ListAll(resource, {.label_selector = std::string(kWorkerSelector)},
                                   10'000, {clock_.Steady() + std::chrono::seconds(10)});
    if (!page.ok()) return;  // the server is down: the cache stays behind
    std::vector<kube::ApiObjectPtr> objects = page->items;
    cache.Replace(std::move(objects), page->resource_version);
  }
};

}  // namespace backfill::reconcile
