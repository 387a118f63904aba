#include "operator/reconcile/job_step.h"

#include <nlohmann/json.hpp>

#include "operator/reconcile/worker_job.h"

namespace backfill::reconcile {
namespace {

using nlohmann::json;
using Kind = JobStep::Kind;

std::string ValueOf(const std::map<std::string, std::string>& map, std::string_view key) {
  const auto it = map.find(std::string(key));
  return it == map.end() ? "" : it->second;
}

JobStep Delete(std::string why) { return {.kind = Kind::kDelete, .why = std::move(why)}; }
JobStep Await(std::string why) { return {.kind = Kind::kAwait, .why = std::move(why)}; }

JobStep Patch(const kube::Job& job, json spec) {
  const json patch = {{"metadata", {{"resourceVersion", job.meta.resource_version}}},
                      {"spec", std::move(spec)}};
  return {.kind = Kind::kPatch, .patch = patch.dump()};
}

// The name is taken by something that is not this Backfill's.
JobStep NotOurs(const kube::Job& job, const WantedJob& wanted) {
  const kube::OwnerReference* owner = job.meta.controller();
  if (owner == nullptr) {
    return {.kind = Kind::kConflict,
            .why = "the Job " + job.meta.name + " belongs to nobody; delete or rename it"};
  }
  // Names are unique, so the one whose name this Backfill has now is gone, and its Job will be.
  if (owner->kind == "Backfill" && owner->name == wanted.backfill)
    return Await("the Job of an earlier Backfill of this name is being removed");
  return {.kind = Kind::kConflict,
          .why = "the Job " + job.meta.name + " belongs to " + owner->kind + " " + owner->name +
                 "; delete or rename it"};
}

JobStep Idle(const kube::Job& job, const WantedJob& wanted) {
  if (job.IsFinished()) return {};
  if (wanted.queued) return Delete("its place in the queue is given back");
  if (!wanted.needed) return Delete("fewer workers are wanted");
  if (job.suspend) return {};
  return Patch(job, {{"suspend", true}});
}

}  // namespace

bool IsOwnedBy(const kube::Job& job, const std::string& backfill_uid) {
  const kube::OwnerReference* owner = job.meta.controller();
  return owner != nullptr && owner->kind == "Backfill" && owner->uid == backfill_uid;
}

bool IsMadeFor(const kube::Job& job, const WantedJob& wanted) {
  return ValueOf(job.meta.labels, kTemplateHashLabel) == wanted.template_hash &&
         ValueOf(job.meta.annotations, kReconcileAtAnnotation) == wanted.reconcile_at;
}

bool HasConfigError(const kube::Job& job) {
  const kube::JobCondition* failed = job.Condition("Failed");
  if (failed == nullptr || failed->status != "True") failed = job.Condition("FailureTarget");
  return failed != nullptr && failed->status == "True" && failed->reason == "PodFailurePolicy";
}

JobStep NextStep(const kube::Job* seen, const WantedJob& wanted) {
  if (seen == nullptr) {
    if (wanted.replicas == 0) return {};
    return {.kind = Kind::kCreate};
  }
  const kube::Job& job = *seen;
  if (!IsOwnedBy(job, wanted.backfill_uid)) {
    if (wanted.replicas == 0) return {};
    return NotOurs(job, wanted);
  }
  if (!job.meta.deletion_time.empty()) {
    if (wanted.replicas == 0) return {};
    return Await("its workers end");
  }
  if (wanted.replicas == 0) return Idle(job, wanted);
  if (job.IsFinished()) return Delete("it has ended, and there is work left");
  if (ValueOf(job.meta.labels, kTemplateHashLabel) != wanted.template_hash)
    return Delete("the template of its pods has changed");

  json spec = json::object();
  if (job.completions != wanted.replicas || job.parallelism != wanted.replicas)
    spec = {{"completions", wanted.replicas}, {"parallelism", wanted.replicas}};
  if (job.suspend && !wanted.queued) spec["suspend"] = false;
  if (spec.empty()) return {};
  return Patch(job, std::move(spec));
}

}  // namespace backfill::reconcile
