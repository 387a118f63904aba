#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "operator/kube/cache/object_cache.h"
#include "operator/kube/client/api_object.h"

// The kinds of others that are cached, reduced to what is read of them: at most 6 KiB a Job and
// 1 KiB a pod (R11). Everything else is dropped where it is decoded.
namespace backfill::kube {

inline constexpr ResourceType kJobs{
    .group = "batch", .version = "v1", .plural = "jobs", .kind = "Job", .namespaced = true};
inline constexpr ResourceType kPods{
    .group = "", .version = "v1", .plural = "pods", .kind = "Pod", .namespaced = true};

inline constexpr ResourceType kConfigMaps{
    .group = "", .version = "v1", .plural = "configmaps", .kind = "ConfigMap", .namespaced = true};

struct JobCondition {
  std::string type;    // Complete, Failed, Suspended, FailureTarget, SuccessCriteriaMet ..
  std::string status;  // True, False, Unknown
  std::string reason;
  std::string message;  // cut to 512 bytes
  std::string last_transition_time;
};

// Labels are all there; annotations only those of backfill.dev and kueue.x-k8s.io.
struct Job final : ApiObject {
  std::int32_t parallelism = 1;
  std::int32_t completions = 1;  // absent: any one pod will do, which no Job of ours is
  bool suspend = false;

  std::int32_t active = 0;
  std::int32_t ready = 0;
  std::int32_t terminating = 0;
  std::int32_t succeeded = 0;
  std::int32_t failed = 0;
  std::string completed_indexes;  // "1,3-5,7", at most 4 KiB; longer ones are left out
  std::string failed_indexes;
  std::vector<JobCondition> conditions;

  [[nodiscard]] const JobCondition* Condition(std::string_view type) const;
  [[nodiscard]] bool IsTrue(std::string_view type) const;
  // Complete or Failed: no pod will be started any more, though some may still run.
  [[nodiscard]] bool IsFinished() const;
};

// Of a pod the metadata alone is asked for and kept: who it is, whose, since when. Of its owners
// only the controller; no labels, annotations or finalizers but for what is here.
struct Pod final : ApiObject {
  std::string backfill_uid;                      // as its label says; its Job knows better
  std::optional<std::int32_t> completion_index;  // which pod of its Job
  std::string stage;                             // these two as its labels say
  std::int32_t pool = 0;                         // which Job of its stage
  // The Job controller has yet to count how it ended: it has a finalizer for that (KEP-2307). So
  // without, and while its Job is there, the pod has ended.
  bool tracked = false;
};

// Of a ConfigMap what is text: `binaryData` is not read. It takes what its data takes, so follow
// those that matter alone.
struct ConfigMap final : ApiObject {
  std::map<std::string, std::string> data;
};

Result<ApiObjectPtr> DecodeJob(const nlohmann::json& object);
Result<ApiObjectPtr> DecodePod(const nlohmann::json& object);
Result<ApiObjectPtr> DecodeConfigMap(const nlohmann::json& object);

// Pods by what their label says, so that those whose Job is gone are found, too.
CacheIndex ByBackfillOfPod();

// What is in a cache of `T`; the caller knows of which kind that is. Null stays null.
template <typename T>
std::shared_ptr<const T> As(const ApiObjectPtr& object) {
  return std::static_pointer_cast<const T>(object);
}

}  // namespace backfill::kube
