#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "operator/identity/pod_claim.h"
#include "operator/identity/worker_directory.h"
#include "operator/kube/cache/kinds.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/api_client.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"

namespace backfill::identity {

inline constexpr const char* kOurAudience = "backfill-operator";

// A cluster with Backfills, their Jobs and pods, and caches that see it when they are told to.
class IdentityBench {
 public:
  using json = nlohmann::json;

  struct Made {
    std::string name;
    std::string uid;
  };

  Made MakeBackfill(const std::string& name) {
    return Make("/apis/backfill.dev/v1alpha1/namespaces/shop/backfills",
                {{"apiVersion", "backfill.dev/v1alpha1"},
                 {"kind", "Backfill"},
                 {"metadata", {{"name", name}}},
                 {"spec", json::object()}});
  }
  // `stage` and `pool` are its labels; `name` is what the controller would call it.
  Made MakeJob(const Made& backfill, const std::string& name, const std::string& stage = "run",
               const std::string& pool = "0") {
    return Make("/apis/batch/v1/namespaces/shop/jobs",
                {{"apiVersion", "batch/v1"},
                 {"kind", "Job"},
                 {"metadata",
                  {{"name", name},
                   {"labels", {{"backfill.dev/stage", stage}, {"backfill.dev/pool", pool}}},
                   {"ownerReferences",
                    {{{"apiVersion", "backfill.dev/v1alpha1"},
                      {"kind", "Backfill"},
                      {"name", backfill.name},
                      {"uid", backfill.uid},
                      {"controller", true}}}}}},
                 {"spec", {{"completions", 8}, {"parallelism", 8}}}});
  }
  Made MakePod(const Made& job, int index, const std::string& owner_kind = "Job") {
    const std::string text = std::to_string(index);
    return Make("/api/v1/namespaces/shop/pods",
                {{"apiVersion", "v1"},
                 {"kind", "Pod"},
                 {"metadata",
                  {{"name", job.name + "-" + text + "-" + std::to_string(++pods_made_)},
                   {"labels", {{"batch.kubernetes.io/job-completion-index", text}}},
                   {"ownerReferences",
                    {{{"apiVersion", "batch/v1"},
                      {"kind", owner_kind},
                      {"name", job.name},
                      {"uid", job.uid},
                      {"controller", true}}}}}}});
  }
  void SetStatus(const std::string& path, const json& status) {
    const auto response =
        server_.Do(kube::HttpMethod::kPatch, path + "/status", json{{"status", status}}.dump(),
                   "application/merge-patch+json");
    EXPECT_EQ(response.status, 200) << response.body;
  }
  void Delete(const std::string& path) {
    EXPECT_LT(server_.Do(kube::HttpMethod::kDelete, path).status, 300);
  }
  static std::string PodPath(const Made& pod) { return "/api/v1/namespaces/shop/pods/" + pod.name; }
  static std::string JobPath(const Made& job) {
    return "/apis/batch/v1/namespaces/shop/jobs/" + job.name;
  }

  static PodClaim ClaimOfPod(const Made& pod) {
    return {.ns = "shop", .pod = pod.name, .uid = pod.uid};
  }
  static fakes::FakeIdentity IdentityOf(const Made& pod,
                                        const std::string& audience = kOurAudience) {
    return {.user = "system:serviceaccount:shop:default",
            .uid = "sa",
            .groups = {"system:serviceaccounts", "system:serviceaccounts:shop"},
            .audiences = {audience},
            .extra = {{"authentication.kubernetes.io/pod-name", {pod.name}},
                      {"authentication.kubernetes.io/pod-uid", {pod.uid}}}};
  }

  void LetCachesSee() {
    See(pods_, {kube::kPods, kube::DecodePod});
    See(jobs_, {kube::kJobs, kube::DecodeJob});
    See(backfills_, {{.group = "backfill.dev",
                      .version = "v1alpha1",
                      .plural = "backfills",
                      .kind = "Backfill",
                      .namespaced = true},
                     kube::DecodeMetaOnly});
  }
  [[nodiscard]] kube::CallLimits Limits() const {
    return {clock_.Steady() + std::chrono::seconds(10)};
  }

  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_};
  kube::ApiClient client_{server_, nullptr};
  kube::ObjectCache pods_, jobs_, backfills_;
  WorkerDirectory directory_{pods_, jobs_, backfills_, client_};

 private:
  Made Make(const std::string& path, const json& object) {
    const auto response = server_.Do(kube::HttpMethod::kPost, path, object.dump());
    EXPECT_EQ(response.status, 201) << response.body;
    const auto made = json::parse(response.body);
    return {.name = made["metadata"]["name"], .uid = made["metadata"]["uid"]};
  }
  void See(kube::ObjectCache& cache, const kube::Resource& resource) {
    auto page = client_.ListAll(resource, {}, 100'000, Limits());
    ASSERT_TRUE(page.ok()) << page.error().message;
    cache.Replace(std::move(page->items), page->resource_version);
  }

  int pods_made_ = 0;
};

}  // namespace backfill::identity
