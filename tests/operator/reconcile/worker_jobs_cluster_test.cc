// Worker Jobs on a real API server, with its Job controller, pod security admission, quotas and
// garbage collector. There is no node: pods stay Pending, and what a kubelet would say is written
// into their status.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "operator/kube/cache/informer.h"
#include "operator/reconcile/job_pool.h"
#include "tests/cluster/control_plane.h"
#include "tests/operator/kube/cluster/server_access.h"

namespace backfill::reconcile {
namespace {

using cluster::ControlPlane;
using kube::HttpMethod;
using nlohmann::json;
using testing::HasSubstr;

constexpr Duration kPatience = 60s;  // for a machine that does something else

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// An informer with what it needs, of the workers of a namespace.
class Followed {
 public:
  Followed(kube::HttpTransport& transport, const Clock& clock, const kube::Resource& resource,
           const kube::CacheIndex& index, const std::string& ns, bool metadata_only)
      : cache({index}), informer(transport, clock, resource, cache, Options(ns, metadata_only)) {}

  kube::ObjectCache cache;
  kube::Informer informer;

 private:
  static kube::InformerOptions Options(const std::string& ns, bool metadata_only) {
    kube::InformerOptions options;
    options.selection = {.ns = ns,
                         .labels = std::string(kWorkerSelector),
                         .fields = "",
                         .metadata_only = metadata_only};
    options.watcher.min_watch_seconds = 1;
    options.watcher.max_watch_seconds = 5;
    return options;
  }
};

class WorkerJobsClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<ControlPlane> shared = ControlPlane::Shared();
    if (!shared.ok()) GTEST_SKIP() << shared.error().message;
    plane_.emplace(std::move(shared).value());
    const auto access = kube::ReadAccess(plane_->kubeconfig());
    ASSERT_TRUE(access.ok()) << access.error().message;
    auto transport = kube::Connect(*access, "worker-jobs-test", clock_);
    ASSERT_TRUE(transport.ok()) << transport.error().message;
    transport_ = std::move(transport).value();
    api_.emplace(*transport_, nullptr);

    const std::string crd = ReadFile(std::string(BACKFILL_CRDS) + "/backfill.dev_backfills.yaml");
    // Others do so at the same time, and one of them fails.
    ASSERT_TRUE(Eventually([&] { return plane_->Apply(crd).ok(); }));
    ASSERT_TRUE(Eventually([this] {
      return Send(HttpMethod::kGet, "/apis/backfill.dev/v1alpha1/backfills").has_value();
    }));
    Apply(R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":")" + ns_ +
          R"(","labels":{"pod-security.kubernetes.io/enforce":"restricted"}}})");
    ASSERT_TRUE(Eventually([this] {
      return Send(HttpMethod::kGet, "/api/v1/namespaces/" + ns_ + "/serviceaccounts/default")
          .has_value();
    })) << "pods need it";
    Apply(R"({"apiVersion":"backfill.dev/v1alpha1","kind":"Backfill","metadata":{"name":"reprice",
          "namespace":")" +
          ns_ + R"("},"spec":{"source":{"range":{"start":0,"end":10}},
          "target":{"http":{"url":"http://orders/{{key}}"}}}})");
    const auto made = Send(HttpMethod::kGet,
                           "/apis/backfill.dev/v1alpha1/namespaces/" + ns_ + "/backfills/reprice");
    ASSERT_TRUE(made.has_value());
    backfill_.ns = ns_;
    backfill_.name = "reprice";
    backfill_.uid = (*made)["metadata"]["uid"].get<std::string>();
    backfill_.status.plan.emplace();
    backfill_.status.plan->hash = "sha256:ab";
    backfill_.status.plan->worker_image = "localhost/backfill/worker:1";
    options_.job.coordinator = "dns:///backfill-coordinator.system.svc:9443";
    options_.look_period = 100ms;
    options_.on_gone = [this](const StageKey&, const std::string& worker, const std::string&) {
      gone_ = worker;
    };
    jobs_.emplace(*transport_, clock_, kube::Resource{kube::kJobs, &kube::DecodeJob},
                  kube::ByController(), ns_, false);
    pods_.emplace(*transport_, clock_, kube::Resource{kube::kPods, &kube::DecodePod},
                  kube::ByBackfillOfPod(), ns_, true);
    pool_.emplace(*api_, jobs_->cache, pods_->cache, clock_, options_);
    pods_->cache.AddListener(&*pool_);
    jobs_->informer.Start();
    pods_->informer.Start();
    ASSERT_TRUE(
        Eventually([this] { return jobs_->cache.HasSynced() && pods_->cache.HasSynced(); }));
  }

  void TearDown() override {
    if (jobs_) jobs_->informer.Stop();
    if (pods_) pods_->informer.Stop();
  }

  static bool Eventually(const std::function<bool()>& holds) {
    const Time end = std::chrono::steady_clock::now() + kPatience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(50ms);
    }
    return true;
  }

  void Apply(const std::string& manifest) {
    const auto applied = plane_->Apply(manifest);
    ASSERT_TRUE(applied.ok()) << applied.error().message;
  }

  // nullopt: not a 2xx.
  std::optional<json> Send(HttpMethod method, const std::string& target,
                           const std::string& body = "",
                           const std::string& type = "application/json") {
    const auto response = transport_->Send({.method = method,
                                            .target = target,
                                            .content_type = body.empty() ? "" : type,
                                            .body = body},
                                           clock_.Steady() + 30s, {});
    if (!response.ok()) return std::nullopt;
    last_answer_ = response->body;
    if (response->status >= 300) return std::nullopt;
    return json::parse(response->body, nullptr, false);
  }

  std::string Pods() { return "/api/v1/namespaces/" + ns_ + "/pods"; }
  json ListPods() { return Send(HttpMethod::kGet, Pods()).value_or(json{})["items"]; }

  // Asks for it until it is so, as a controller does.
  bool BecomesSo(int replicas, const std::function<bool(const PoolStatus&)>& so) {
    return Eventually([&] {
      const Status scaled = pool_->Scale(backfill_, Stage::kRun, replicas);
      EXPECT_TRUE(scaled.ok()) << scaled.error().message;
      return so(Observe());
    });
  }
  bool HasPods(int replicas) {
    return BecomesSo(replicas, [&](const PoolStatus& s) {
      return s.alive == replicas && static_cast<int>(ListPods().size()) == replicas;
    });
  }
  PoolStatus Observe() { return pool_->Observe(backfill_, Stage::kRun); }

  // What the kubelet of a node would say.
  void EndsWith(const json& pod, int code) {
    const json ended = {{"exitCode", code},
                        {"reason", "Error"},
                        {"finishedAt", "2026-01-01T00:00:00Z"},
                        {"containerID", "containerd://1"}};
    const json status = {
        {"status",
         {{"phase", "Failed"},
          {"containerStatuses", json::array({{{"name", "worker"},
                                              {"image", "w"},
                                              {"imageID", "w"},
                                              {"ready", false},
                                              {"restartCount", 0},
                                              {"state", {{"terminated", ended}}}}})}}}};
    ASSERT_TRUE(Send(HttpMethod::kPatch,
                     Pods() + "/" + pod["metadata"]["name"].get<std::string>() + "/status",
                     status.dump(), "application/merge-patch+json"))
        << last_answer_;
  }

  SystemClock clock_;
  const std::string ns_ = cluster::UniqueName("workers");
  std::optional<ControlPlane> plane_;
  std::unique_ptr<kube::RestTransport> transport_;
  std::optional<kube::ApiClient> api_;
  api::Backfill backfill_;
  JobPoolOptions options_;
  std::string gone_, last_answer_;
  std::optional<Followed> jobs_, pods_;
  std::optional<JobPool> pool_;
};

TEST_F(WorkerJobsClusterTest, ARestrictedNamespaceAdmitsWorkers) {
  EXPECT_FALSE(
      Send(HttpMethod::kPost, Pods(),
           R"({"metadata":{"name":"careless"},"spec":{"containers":[{"name":"c","image":"i"}]}})"))
      << "or nothing is proven by what follows";
  EXPECT_THAT(last_answer_, HasSubstr("restricted"));

  ASSERT_TRUE(HasPods(2)) << ListPods().dump(1);
  for (const json& pod : ListPods()) {
    SCOPED_TRACE(pod["metadata"]["name"]);
    const json& labels = pod["metadata"]["labels"];
    EXPECT_EQ(labels["backfill.dev/backfill-uid"], backfill_.uid);
    EXPECT_EQ(labels["backfill.dev/stage"], "run");
    EXPECT_EQ(labels["backfill.dev/pool"], "0");
    EXPECT_TRUE(labels.contains("batch.kubernetes.io/job-completion-index"));
    EXPECT_EQ(pod["metadata"]["ownerReferences"][0]["kind"], "Job");
    EXPECT_EQ(pod["metadata"]["ownerReferences"][0]["controller"], true);
    const std::string spec = pod["spec"].dump();
    EXPECT_THAT(spec, HasSubstr(R"("name":"JOB_COMPLETION_INDEX")"));
    EXPECT_THAT(spec, HasSubstr(R"("audience":"backfill-operator")"));
    EXPECT_EQ(pod["spec"]["volumes"].size(), 2U) << "no token of the API server's";
  }
}

TEST_F(WorkerJobsClusterTest, R28_GrowsShrinksRestsAndGoes) {
  ASSERT_TRUE(HasPods(2));
  ASSERT_TRUE(HasPods(4));
  ASSERT_TRUE(HasPods(1));
  EXPECT_EQ(Observe().failures, 0U);
  ASSERT_TRUE(HasPods(0));
  EXPECT_TRUE(Observe().remains);
  ASSERT_TRUE(HasPods(3));
  ASSERT_TRUE(Eventually([this] {
    EXPECT_TRUE(pool_->Stop(KeyOf(backfill_, Stage::kRun)).ok());
    return Observe().alive == 0;
  }));
  EXPECT_TRUE(ListPods().empty());
  EXPECT_FALSE(Send(HttpMethod::kGet, "/apis/batch/v1/namespaces/" + ns_ + "/jobs/reprice-run"));
}

TEST_F(WorkerJobsClusterTest, AnotherTemplateReplacesThePods) {
  ASSERT_TRUE(HasPods(2));
  backfill_.spec.workers.pod_template =
      R"({"metadata":{"labels":{"team":"payments"}},"spec":{"containers":[{"name":"worker","env":[{"name":"A","value":"b"}]}]}})";
  ASSERT_TRUE(BecomesSo(2, [this](const PoolStatus& s) {
    const json pods = ListPods();
    return s.alive == 2 && pods.size() == 2 &&
           pods[0]["metadata"]["labels"].value("team", "") == "payments";
  }));
}

TEST_F(WorkerJobsClusterTest, F12_WhatTheKubeletSaysOfAnEndIsBelieved) {
  ASSERT_TRUE(HasPods(1));
  EndsWith(ListPods()[0], 1);
  ASSERT_TRUE(Eventually([this] { return Observe().failures == 1 && !gone_.empty(); }));
  EXPECT_EQ(gone_, "run-0");
  EXPECT_THAT(Observe().last_failure, HasSubstr("run-0 (pod reprice-run-0-"));
  EXPECT_FALSE(Observe().config_error);
}

TEST_F(WorkerJobsClusterTest, ExitCode78EndsTheJob) {
  ASSERT_TRUE(HasPods(2));
  EndsWith(ListPods()[0], 78);
  ASSERT_TRUE(Eventually([this] {
    const PoolStatus status = Observe();
    return status.config_error && status.alive == 0;
  }));
  EXPECT_THAT(Observe().last_failure, HasSubstr("78"));
}

TEST_F(WorkerJobsClusterTest, F9_AQuotaIsTroubleUntilItIsLifted) {
  Apply(R"({"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"none","namespace":")" +
        ns_ + R"("},"spec":{"hard":{"count/jobs.batch":"0"}}})");
  ASSERT_TRUE(Eventually([this] {
    const auto quota = Send(HttpMethod::kGet, "/api/v1/namespaces/" + ns_ + "/resourcequotas/none");
    return quota && quota->contains("/status/hard"_json_pointer);
  }));
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "QuotaExceeded") << Observe().trouble->message;
  ASSERT_TRUE(plane_->Kubectl({"delete", "resourcequota", "none", "-n", ns_}).ok());
  EXPECT_TRUE(HasPods(1));
  EXPECT_FALSE(Observe().trouble.has_value());
}

// Without the deletion of the Job it stays as it is for ever: the controller keeps the pods that
// have failed until they have successors.
TEST_F(WorkerJobsClusterTest, R30_ANamespaceWithWorkersInItGoes) {
  ASSERT_TRUE(HasPods(2));
  ASSERT_TRUE(plane_->Kubectl({"delete", "namespace", ns_, "--wait=false"}).ok());
  ASSERT_TRUE(Eventually([this] {
    return std::ranges::all_of(
        ListPods(), [](const json& p) { return p["metadata"].contains("deletionTimestamp"); });
  }));
  for (const json& pod : ListPods()) EndsWith(pod, 143);
  ASSERT_TRUE(Eventually([this] { return Observe().namespace_goes; }));
  EXPECT_EQ(ListPods().size(), 2U) << "or nothing is proven";
  ASSERT_TRUE(Eventually([this] {
    EXPECT_TRUE(pool_->Stop(KeyOf(backfill_, Stage::kRun)).ok());
    return Observe().alive == 0;
  }));
  EXPECT_TRUE(Eventually([this] { return !Send(HttpMethod::kGet, "/api/v1/namespaces/" + ns_); }));
}

TEST_F(WorkerJobsClusterTest, WhatIsNoPodIsRefusedWithTheField) {
  backfill_.spec.workers.pod_template = R"({"spec":{"dnsPolicy":"Sometimes"}})";
  ASSERT_TRUE(pool_->Scale(backfill_, Stage::kRun, 1).ok());
  ASSERT_TRUE(Observe().trouble.has_value());
  EXPECT_EQ(Observe().trouble->reason, "InvalidSpec");
  EXPECT_THAT(Observe().trouble->message, HasSubstr("spec.template.spec.dnsPolicy"));
}

// The same as the server's own strategic merge patch, which both sides default the same way.
TEST_F(WorkerJobsClusterTest, AnOverlayIsLaidOverAsTheServerDoesIt) {
  const std::string overlay = R"({
    "metadata": {"labels": {"team": "payments"}, "annotations": {"a": "b"}},
    "spec": {"serviceAccountName": "orders", "nodeSelector": {"disk": "ssd"},
      "tolerations": [{"key": "batch", "operator": "Exists"}],
      "imagePullSecrets": [{"name": "registry"}], "securityContext": {"runAsUser": 1000},
      "hostAliases": [{"ip": "127.0.0.2", "hostnames": ["x"]}],
      "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1,
                                     "whenUnsatisfiable": "ScheduleAnyway"}],
      "volumes": [{"name": "login", "secret": {"secretName": "orders"}},
                  {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
      "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
      "containers": [
        {"name": "second", "image": "s"},
        {"name": "worker", "image": "other:1", "ports": [{"containerPort": 80, "protocol": "TCP"}],
         "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
         "securityContext": {"capabilities": {"drop": ["NET_RAW"]}},
         "env": [{"name": "API_KEY", "value": "k"}],
         "envFrom": [{"configMapRef": {"name": "c"}}],
         "volumeMounts": [{"name": "login", "mountPath": "/run/login"},
                          {"name": "login", "mountPath": "/tmp"}]}]}})";
  const auto pods_of = [this] {
    const auto job = WorkerJob(backfill_, Stage::kRun, 0, 1, options_.job);
    json pods = json::parse(*job)["spec"]["template"];
    pods["metadata"]["labels"].erase("backfill.dev/template-hash");  // differs, as it should
    return pods;
  };
  const std::string templates = "/api/v1/namespaces/" + ns_ + "/podtemplates";
  const auto store = [&](const std::string& name, const json& pods) {
    return Send(HttpMethod::kPost, templates,
                json{{"metadata", {{"name", name}}}, {"template", pods}}.dump());
  };
  ASSERT_TRUE(store("theirs", pods_of())) << last_answer_;
  const auto theirs =
      Send(HttpMethod::kPatch, templates + "/theirs", R"({"template":)" + overlay + "}",
           "application/strategic-merge-patch+json");
  ASSERT_TRUE(theirs) << last_answer_;
  backfill_.spec.workers.pod_template = overlay;
  const auto ours = store("ours", pods_of());
  ASSERT_TRUE(ours) << last_answer_;

  // In which order new entries come, the identity of each says nothing about.
  const auto sorted = [](json pods) {
    for (json* list : {&pods["spec"]["containers"], &pods["spec"]["volumes"]}) {
      for (json& item : *list)
        for (const char* inner : {"env", "volumeMounts"})
          if (item.contains(inner)) std::sort(item[inner].begin(), item[inner].end());
      std::sort(list->begin(), list->end());
    }
    return pods;
  };
  EXPECT_EQ(json::diff(sorted((*theirs)["template"]), sorted((*ours)["template"])).dump(), "[]");
}

}  // namespace
}  // namespace backfill::reconcile
