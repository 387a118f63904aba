#include "operator/reconcile/worker_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "operator/reconcile/pod_overlay.h"

namespace backfill::reconcile {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const WorkerJobOptions kOptions{
    .coordinator = "dns:///backfill-coordinator.backfill-system.svc:9443",
    .image = "localhost/backfill/worker:newest"};

api::Backfill Reprice() {
  api::Backfill b;
  b.name = "reprice-orders";
  b.ns = "shop";
  b.uid = "0b0c7d5e-8f5a-4f0e-9d39-0b6c1c1c8e0e";
  b.status.plan.emplace();
  b.status.plan->hash = "sha256:" + std::string(64, 'a');
  b.status.plan->worker_image = "localhost/backfill/worker:planned";
  return b;
}

json Made(const api::Backfill& b, Stage stage = Stage::kRun, int pool = 0, int replicas = 2,
          const WorkerJobOptions& options = kOptions) {
  const auto job = WorkerJob(b, stage, pool, replicas, options);
  if (!job.ok()) {
    ADD_FAILURE() << job.error().message;
    return {};
  }
  return json::parse(*job);
}

// As an API server is sent it. BACKFILL_UPDATE_GOLDEN=1 rewrites the file.
void ExpectGolden(const std::string& name, const json& job) {
  const std::string path = std::string(BACKFILL_JOBS) + "/" + name + ".json";
  if (std::getenv("BACKFILL_UPDATE_GOLDEN") != nullptr) {  // NOLINT: no other thread
    std::ofstream(path) << job.dump(2) << "\n";
  }
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), job.dump(2) + "\n") << path;
}

TEST(WorkerJobTest, IsWhatTheGoldenFileShows) { ExpectGolden("two-workers", Made(Reprice())); }

TEST(WorkerJobTest, HasWhatTheSpecSaysBesides) {
  api::Backfill b = Reprice();
  b.spec.workers.pod_template = R"({
    "metadata": {"labels": {"team": "payments"}, "annotations": {"a": "b"}},
    "spec": {"serviceAccountName": "orders", "nodeSelector": {"disk": "ssd"},
      "tolerations": [{"key": "batch", "operator": "Exists"}],
      "imagePullSecrets": [{"name": "registry"}],
      "securityContext": {"runAsUser": 1000},
      "volumes": [{"name": "login", "secret": {"secretName": "orders"}},
                  {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
      "containers": [
        {"name": "worker", "image": "localhost/backfill/worker:fixed",
         "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
         "env": [{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "orders", "key": "k"}}}],
         "volumeMounts": [{"name": "login", "mountPath": "/run/login", "readOnly": true}]}],
      "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}]}})";
  b.annotations[std::string(kReconcileAtAnnotation)] = "2026-01-01";
  ExpectGolden("with-template", Made(b));
}

TEST(WorkerJobTest, AQueueOfKueueStartsIt) {
  api::Backfill b = Reprice();
  b.labels = {{"kueue.x-k8s.io/queue-name", "nightly"},
              {"kueue.x-k8s.io/priority-class", "low"},
              {"team", "payments"}};
  ExpectGolden("queued-second-pool", Made(b, Stage::kDryRun, 1, 200));
}

// Before there is a plan: the image is the operator's, the volumes are those of the run.
TEST(WorkerJobTest, OneWorkerPlansWithWhatTheOthersWillHave) {
  api::Backfill b = Reprice();
  b.status.plan.reset();
  b.spec.workers.pod_template = R"({"spec": {
    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "exports"}}],
    "containers": [{"name": "worker",
      "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": true}]}]}})";
  ExpectGolden("plan-of-a-file", Made(b, Stage::kPlan, 0, 1));
}

TEST(WorkerJobTest, NamesFitIntoAHostName) {
  const std::string longest(45, 'a');
  EXPECT_EQ(WorkerJobName("a", Stage::kRun, 0), "a-run");
  EXPECT_EQ(WorkerJobName("a", Stage::kDryRun, 5), "a-dry-run-5");
  EXPECT_LE(WorkerJobName(longest, Stage::kDryRun, kMaxPools - 1).size() + 4, 63U);  // -499
}

TEST(WorkerJobTest, ReplicasAreSharedOutByFiveHundreds) {
  const auto shares = [](int replicas) {
    std::vector<int> all;
    for (int p = 0; p < kMaxPools; ++p) all.push_back(ReplicasOfPool(p, replicas));
    return all;
  };
  EXPECT_EQ(shares(0), (std::vector{0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(shares(500), (std::vector{500, 0, 0, 0, 0, 0}));
  EXPECT_EQ(shares(501), (std::vector{500, 1, 0, 0, 0, 0}));
  EXPECT_EQ(shares(3000), (std::vector{500, 500, 500, 500, 500, 500}));
}

TEST(WorkerJobTest, AWorkerIsNamedByItsIndexOverAllPools) {
  EXPECT_EQ(WorkerName("run", 0, 3), "run-3");
  EXPECT_EQ(WorkerName("run", 1, 17), "run-517");
  EXPECT_EQ(WorkerName("dry-run", 5, 499), "dry-run-2999");
}

TEST(WorkerJobTest, ThePlansImageOutlivesAnUpgrade) {
  WorkerJobOptions upgraded = kOptions;
  upgraded.image = "localhost/backfill/worker:next";
  upgraded.resources = R"({"requests":{"cpu":"1"}})";
  upgraded.ttl_after_finished = std::chrono::seconds(5);
  EXPECT_EQ(TemplateHash(Reprice(), kOptions), TemplateHash(Reprice(), upgraded));
  EXPECT_EQ(Made(Reprice(), Stage::kRun, 0, 2,
                 upgraded)["spec"]["template"]["spec"]["containers"][0]["image"],
            "localhost/backfill/worker:planned");
}

TEST(WorkerJobTest, TheHashTellsTemplatesApart) {
  const std::string base = TemplateHash(Reprice(), kOptions);
  EXPECT_EQ(base.size(), 16U);
  api::Backfill b = Reprice();
  b.spec.workers.replicas = 1000;
  b.spec.workers.batch_size = 7;
  b.labels["team"] = "x";
  EXPECT_EQ(TemplateHash(b, kOptions), base);
  b.spec.workers.pod_template = R"({"spec":{"nodeName":"n"}})";
  EXPECT_NE(TemplateHash(b, kOptions), base);
  WorkerJobOptions moved = kOptions;
  moved.coordinator = "dns:///elsewhere:9443";
  EXPECT_NE(TemplateHash(Reprice(), moved), base);
}

TEST(WorkerJobTest, WithoutAnImageThereIsNoJob) {
  api::Backfill b = Reprice();
  b.status.plan.reset();
  WorkerJobOptions options = kOptions;
  options.image = "";
  const auto job = WorkerJob(b, Stage::kRun, 0, 1, options);
  ASSERT_FALSE(job.ok());
  EXPECT_EQ(job.error().code, ErrorCode::kInvalid);
}

TEST(WorkerJobTest, OptionsAreChecked) {
  EXPECT_TRUE(kOptions.Validate().ok());
  WorkerJobOptions options = kOptions;
  options.resources = "[]";
  ASSERT_FALSE(options.Validate().ok());
  EXPECT_THAT(options.Validate().error().message, HasSubstr("resources"));
  options = kOptions;
  options.coordinator = "";
  EXPECT_FALSE(options.Validate().ok());
}

struct OverlayCase {
  const char* name;
  const char* under;
  const char* over;
  const char* result;
};

void PrintTo(const OverlayCase& c, std::ostream* out) { *out << c.name; }

class PodOverlayTest : public testing::TestWithParam<OverlayCase> {};

TEST_P(PodOverlayTest, IsLaidOver) {
  json pods = json::parse(GetParam().under);
  LayOver(pods, json::parse(GetParam().over));
  EXPECT_EQ(pods, json::parse(GetParam().result)) << pods.dump();
}

INSTANTIATE_TEST_SUITE_P(
    Cases, PodOverlayTest,
    testing::Values(
        OverlayCase{"maps are merged", R"({"spec":{"a":{"x":1,"y":2}}})",
                    R"({"spec":{"a":{"y":3,"z":4}}})", R"({"spec":{"a":{"x":1,"y":3,"z":4}}})"},
        OverlayCase{"containers by name, others come behind",
                    R"({"spec":{"containers":[{"name":"worker","image":"a","tty":true}]}})",
                    R"({"spec":{"containers":[{"name":"p"},{"name":"worker","image":"b"}]}})",
                    R"({"spec":{"containers":[{"name":"worker","image":"b","tty":true},
                        {"name":"p"}]}})"},
        OverlayCase{"variables by name; a value takes the place of a reference",
                    R"({"spec":{"containers":[{"name":"w","env":[{"name":"A","value":"1"},
                        {"name":"B","valueFrom":{"x":1}}]}]}})",
                    R"({"spec":{"containers":[{"name":"w","env":[{"name":"B","value":"2"},
                        {"name":"C","value":"3"}]}]}})",
                    R"({"spec":{"containers":[{"name":"w","env":[{"name":"A","value":"1"},
                        {"name":"B","value":"2"},{"name":"C","value":"3"}]}]}})"},
        OverlayCase{"mounts by path", R"({"spec":{"containers":[{"name":"w","volumeMounts":[
                        {"mountPath":"/tmp","name":"tmp"}]}]}})",
                    R"({"spec":{"containers":[{"name":"w","volumeMounts":[
                        {"mountPath":"/tmp","name":"big"},{"mountPath":"/x","name":"x"}]}]}})",
                    R"({"spec":{"containers":[{"name":"w","volumeMounts":[
                        {"mountPath":"/tmp","name":"big"},{"mountPath":"/x","name":"x"}]}]}})"},
        OverlayCase{
            "ports by number",
            R"({"spec":{"containers":[{"name":"w","ports":[{"containerPort":1,"name":"a"}]}]}})",
            R"({"spec":{"containers":[{"name":"w","ports":[{"containerPort":1,"name":"b"}]}]}})",
            R"({"spec":{"containers":[{"name":"w","ports":[{"containerPort":1,"name":"b"}]}]}})"},
        OverlayCase{"tolerations are one list, capabilities, too",
                    R"({"spec":{"tolerations":[{"key":"a"}],"containers":[{"name":"w",
                        "securityContext":{"capabilities":{"drop":["ALL"]}}}]}})",
                    R"({"spec":{"tolerations":[{"key":"b"}],"containers":[{"name":"w",
                        "securityContext":{"capabilities":{"drop":["X"]}}}]}})",
                    R"({"spec":{"tolerations":[{"key":"b"}],"containers":[{"name":"w",
                        "securityContext":{"capabilities":{"drop":["X"]}}}]}})"},
        OverlayCase{
            "a volume has one source",
            R"({"spec":{"volumes":[{"name":"tmp","emptyDir":{"sizeLimit":"1"}}]}})",
            R"({"spec":{"volumes":[{"name":"tmp","persistentVolumeClaim":{"claimName":"c"}}]}})",
            R"({"spec":{"volumes":[{"name":"tmp","persistentVolumeClaim":{"claimName":"c"}}]}})"},
        OverlayCase{
            "of the same source it is merged",
            R"({"spec":{"volumes":[{"name":"tmp","emptyDir":{"sizeLimit":"1","medium":"Memory"}}]}})",
            R"({"spec":{"volumes":[{"name":"tmp","emptyDir":{"sizeLimit":"2"}}]}})",
            R"({"spec":{"volumes":[{"name":"tmp","emptyDir":{"sizeLimit":"2","medium":"Memory"}}]}})"},
        OverlayCase{"what has another type is replaced", R"({"spec":{"a":[1]}})",
                    R"({"spec":{"a":{"b":1}}})", R"({"spec":{"a":{"b":1}}})"}),
    [](const auto& one) { return "Case" + std::to_string(one.index); });

}  // namespace
}  // namespace backfill::reconcile
