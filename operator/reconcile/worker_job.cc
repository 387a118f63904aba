#include "operator/reconcile/worker_job.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/digest.h"
#include "operator/api/worker_pod.h"
#include "operator/reconcile/pod_overlay.h"

namespace backfill::reconcile {
namespace {

using nlohmann::json;

constexpr int kConfigError = 78;  // sysexits.h EX_CONFIG: what no retry can heal
constexpr int kUser = 65532;      // as images without a shell have it
constexpr int kOwnerAndGroupMayRead = 0440;
constexpr std::size_t kHashDigits = 16;

std::string ImageOf(const api::Backfill& backfill, const WorkerJobOptions& options) {
  if (backfill.status.plan && !backfill.status.plan->worker_image.empty())
    return backfill.status.plan->worker_image;
  return options.image;
}

json Labels(const api::Backfill& backfill, Stage stage, int pool, const std::string& hash) {
  const std::string stage_name(ToString(stage));
  return {{"app.kubernetes.io/name", "backfill-worker"},
          {"app.kubernetes.io/component", stage_name},
          {"app.kubernetes.io/managed-by", "backfill-operator"},
          {"app.kubernetes.io/part-of", "backfill"},
          {kBackfillNameLabel, backfill.name},
          {kBackfillUidLabel, backfill.uid},
          {kStageLabel, stage_name},
          {kPoolLabel, std::to_string(pool)},
          {kTemplateHashLabel, hash}};
}

json Variable(const char* name, const std::string& value) {
  return {{"name", name}, {"value", value}};
}

json FieldVariable(const char* name, const char* field) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"fieldPath", field}}}}}};
}

json WorkerContainer(const api::Backfill& backfill, Stage stage, int pool,
                     const WorkerJobOptions& options) {
  const std::string secrets(api::kIdentityPath);
  json::array_t env = {
      Variable("BACKFILL_COORDINATOR", options.coordinator),
      Variable("BACKFILL_TOKEN_FILE", secrets + "/token"),
      Variable("BACKFILL_CA_FILE", secrets + "/ca.crt"),
      Variable("BACKFILL_NAMESPACE", backfill.ns),
      Variable("BACKFILL_NAME", backfill.name),
      Variable("BACKFILL_UID", backfill.uid),
      Variable("BACKFILL_STAGE", std::string(ToString(stage))),
      Variable("BACKFILL_POOL", std::to_string(pool)),
      FieldVariable("BACKFILL_POD_NAME", "metadata.name"),
      FieldVariable("BACKFILL_POD_UID", "metadata.uid"),
  };
  json::array_t mounts = {
      {{"name", api::kIdentityVolume}, {"mountPath", api::kIdentityPath}, {"readOnly", true}},
      {{"name", "tmp"}, {"mountPath", "/tmp"}}};
  return {{"name", api::kWorkerContainer},
          {"image", ImageOf(backfill, options)},
          {"resources", json::parse(options.resources, nullptr, /*allow_exceptions=*/false)},
          {"env", std::move(env)},
          {"securityContext",
           {{"allowPrivilegeEscalation", false},
            {"readOnlyRootFilesystem", true},
            {"capabilities", {{"drop", json::array({"ALL"})}}}}},
          {"volumeMounts", std::move(mounts)}};
}

// The token is of no use anywhere but at the operator, and dies with its pod (KEP-1205).
json IdentityVolume() {
  json::array_t sources = {
      {{"serviceAccountToken",
        {{"audience", "backfill-operator"}, {"expirationSeconds", 3600}, {"path", "token"}}}},
      {{"configMap",
        {{"name", "backfill-operator-ca"},
         {"items", json::array({{{"key", "ca.crt"}, {"path", "ca.crt"}}})}}}}};
  return {{"name", api::kIdentityVolume},
          {"projected", {{"defaultMode", kOwnerAndGroupMayRead}, {"sources", std::move(sources)}}}};
}

json PodTemplate(const api::Backfill& backfill, Stage stage, int pool, const std::string& hash,
                 const WorkerJobOptions& options) {
  json::array_t volumes = {{{"name", "tmp"}, {"emptyDir", {{"sizeLimit", "64Mi"}}}},
                           IdentityVolume()};
  json pods = {{"metadata", {{"labels", Labels(backfill, stage, pool, hash)}}},
               {"spec",
                {{"restartPolicy", "Never"},
                 {"automountServiceAccountToken", false},
                 {"enableServiceLinks", false},
                 {"terminationGracePeriodSeconds", 30},
                 {"securityContext",
                  {{"runAsNonRoot", true},
                   {"runAsUser", kUser},
                   {"runAsGroup", kUser},
                   {"fsGroup", kUser},
                   {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
                 {"containers", json::array({WorkerContainer(backfill, stage, pool, options)})},
                 {"volumes", std::move(volumes)}}}};
  if (!backfill.spec.workers.pod_template.empty()) {
    const json overlay = json::parse(backfill.spec.workers.pod_template, nullptr, false);
    if (overlay.is_object()) LayOver(pods, overlay);
  }
  return pods;
}

// Disruptions (a drained node, preemption) are no failures (KEP-3329); a worker that says that it
// can never start ends the Job at once. Rules are tried in order.
json PodFailurePolicy() {
  return {{"rules", json::array({{{"action", "Ignore"},
                                  {"onPodConditions", json::array({{{"type", "DisruptionTarget"},
                                                                    {"status", "True"}}})}},
                                 {{"action", "FailJob"},
                                  {"onExitCodes",
                                   {{"containerName", api::kWorkerContainer},
                                    {"operator", "In"},
                                    {"values", json::array({kConfigError})}}}}})}};
}

}  // namespace

Status WorkerJobOptions::Validate() const {
  if (coordinator.empty())
    return Error{ErrorCode::kInvalid, "coordinator: no address for workers to connect to"};
  TRY(CheckWorkerResources(resources).Annotate("resources"));
  if (ttl_after_finished.count() < 0)
    return Error{ErrorCode::kInvalid, "ttl_after_finished: must not be negative"};
  return Ok{};
}

Status CheckWorkerResources(std::string_view text) {
  constexpr std::size_t kMaxBytes = 4096;  // and so its depth
  const auto refuse = [](std::string why) { return Error{ErrorCode::kInvalid, std::move(why)}; };
  const json resources = text.size() > kMaxBytes
                             ? json(json::value_t::discarded)
                             : json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!resources.is_object())
    return refuse(R"(must be a JSON object such as {"requests":{"cpu":"100m"}})");
  for (const auto& [part, quantities] : resources.items()) {
    if (part != "requests" && part != "limits")
      return refuse("it has requests and limits, and nothing else");
    if (!quantities.is_object()) return refuse(part + " must be an object");
    for (const auto& [name, quantity] : quantities.items()) {
      if (!quantity.is_string() && !quantity.is_number())
        return refuse("quantities in " + part + " must be text or numbers");
    }
  }
  return Ok{};
}

std::string WorkerJobName(std::string_view backfill, Stage stage, int pool) {
  std::string name(backfill);
  name.append("-").append(ToString(stage));
  if (pool > 0) name.append("-").append(std::to_string(pool));
  return name;
}

int ReplicasOfPool(int pool, int replicas) {
  return std::clamp(replicas - pool * kMaxWorkersOfJob, 0, kMaxWorkersOfJob);
}

std::string WorkerName(std::string_view stage, int pool, int completion_index) {
  return std::string(stage) + "-" + std::to_string(pool * kMaxWorkersOfJob + completion_index);
}

std::string TemplateHash(const api::Backfill& backfill, const WorkerJobOptions& options) {
  const json inputs = {{"coordinator", options.coordinator},
                       {"image", ImageOf(backfill, options)},
                       {"template", backfill.spec.workers.pod_template}};
  return Sha256Hex(inputs.dump(-1, ' ', false, json::error_handler_t::replace))
      .substr(0, kHashDigits);
}

bool IsQueued(const api::Backfill& backfill) {
  return backfill.labels.contains(std::string(kQueueLabel));
}

Result<std::string> WorkerJob(const api::Backfill& backfill, Stage stage, int pool, int replicas,
                              const WorkerJobOptions& options) {
  if (ImageOf(backfill, options).empty()) {
    return Error{ErrorCode::kInvalid,
                 "no image of workers is known: neither the plan nor the operator names one"};
  }
  const std::string hash = TemplateHash(backfill, options);
  json labels = Labels(backfill, stage, pool, hash);
  for (const std::string_view key : {kQueueLabel, kQueuePriorityLabel}) {
    const auto it = backfill.labels.find(std::string(key));
    if (it != backfill.labels.end()) labels[it->first] = it->second;
  }
  json annotations = json::object();
  if (backfill.status.plan) annotations[kPlanHashAnnotation] = backfill.status.plan->hash;
  const auto reconcile_at = backfill.annotations.find(std::string(kReconcileAtAnnotation));
  if (reconcile_at != backfill.annotations.end())
    annotations[kReconcileAtAnnotation] = reconcile_at->second;

  const json job = {{"apiVersion", "batch/v1"},
                    {"kind", "Job"},
                    {"metadata",
                     {{"name", WorkerJobName(backfill.name, stage, pool)},
                      {"namespace", backfill.ns},
                      {"labels", std::move(labels)},
                      {"annotations", std::move(annotations)},
                      {"ownerReferences", json::array({{{"apiVersion", "backfill.dev/v1alpha1"},
                                                        {"kind", "Backfill"},
                                                        {"name", backfill.name},
                                                        {"uid", backfill.uid},
                                                        {"controller", true},
                                                        {"blockOwnerDeletion", true}}})}}},
                    {"spec",
                     {{"completionMode", "Indexed"},
                      {"completions", replicas},
                      {"parallelism", replicas},
                      {"backoffLimitPerIndex", 20},
                      {"podReplacementPolicy", "Failed"},
                      {"podFailurePolicy", PodFailurePolicy()},
                      {"suspend", IsQueued(backfill)},
                      {"ttlSecondsAfterFinished", options.ttl_after_finished.count()},
                      {"template", PodTemplate(backfill, stage, pool, hash, options)}}}};
  return job.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace backfill::reconcile
