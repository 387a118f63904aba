#include "tests/fakes/fake_job_controller.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace backfill::fakes {
namespace {

using kube::HttpMethod;
using nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* kTracking = "batch.kubernetes.io/job-tracking";
constexpr const char* kIndex = "batch.kubernetes.io/job-completion-index";
constexpr const char* kMerge = "application/merge-patch+json";
constexpr Duration kFirstBackoff = 10s;
constexpr Duration kLongestBackoff = 10min;
constexpr int kMaxSteps = 100;

std::string Text(const json& object, const char* pointer) {
  const json::json_pointer at(pointer);
  if (!object.contains(at) || !object.at(at).is_string()) return "";
  return object.at(at).get<std::string>();
}

std::int64_t Number(const json& object, const char* pointer, std::int64_t otherwise) {
  const json::json_pointer at(pointer);
  return object.contains(at) ? object.at(at).get<std::int64_t>() : otherwise;
}

std::string PathTo(const json& object, const char* plural) {
  const std::string group = std::string(plural) == "jobs" ? "/apis/batch/v1" : "/api/v1";
  return group + "/namespaces/" + Text(object, "/metadata/namespace") + "/" + plural + "/" +
         Text(object, "/metadata/name");
}

bool IsLeaving(const json& object) { return !Text(object, "/metadata/deletionTimestamp").empty(); }

bool IsTracked(const json& pod) {
  const json list = pod["metadata"].value("finalizers", json::array());
  return std::ranges::count(list, json(kTracking)) > 0;
}

bool IsTerminal(const json& pod) {
  const std::string phase = Text(pod, "/status/phase");
  return phase == "Succeeded" || phase == "Failed";
}

int IndexOf(const json& pod) {
  return std::stoi(pod["metadata"]["labels"].value(kIndex, std::string("-1")));
}

bool HasCondition(const json& object, const char* type) {
  if (!object.contains("/status/conditions"_json_pointer)) return false;
  return std::ranges::any_of(object["status"]["conditions"], [type](const json& condition) {
    return condition["type"] == type && condition["status"] == "True";
  });
}

// "0-2,5"
std::string Intervals(const std::set<int>& indexes) {
  std::string text;
  for (auto it = indexes.begin(); it != indexes.end();) {
    const int first = *it;
    int last = first;
    for (++it; it != indexes.end() && *it == last + 1; ++it) last = *it;
    if (!text.empty()) text += ",";
    text += std::to_string(first);
    if (last > first) text += "-" + std::to_string(last);
  }
  return text;
}

void SetCondition(json& status, const char* type, const char* value, const std::string& reason,
                  const std::string& message, const std::string& now) {
  json& conditions = status["conditions"];
  if (!conditions.is_array()) conditions = json::array();
  for (json& condition : conditions) {
    if (condition["type"] != type) continue;
    if (condition["status"] == value) return;
    condition["status"] = value;
    condition["lastTransitionTime"] = now;
    return;
  }
  conditions.push_back({{"type", type},
                        {"status", value},
                        {"reason", reason},
                        {"message", message},
                        {"lastTransitionTime", now}});
}

// What spec.podFailurePolicy says of a pod that has failed; "": it counts.
std::string ActionFor(const json& job, const json& pod) {
  const json::json_pointer policy("/spec/podFailurePolicy/rules");
  if (!job.contains(policy)) return "";
  for (const json& rule : job.at(policy)) {
    if (rule.contains("onPodConditions") && HasCondition(pod, "DisruptionTarget"))
      return rule["action"];
    if (!rule.contains("onExitCodes")) continue;
    const json& values = rule["onExitCodes"]["values"];
    const json::json_pointer code("/status/containerStatuses/0/state/terminated/exitCode");
    if (pod.contains(code) && std::ranges::count(values, pod.at(code)) > 0) return rule["action"];
  }
  return "";
}

}  // namespace

FakeJobController::Json FakeJobController::List(const std::string& path) {
  const auto response = server_.Do(HttpMethod::kGet, path);
  return response.status == 200 ? json::parse(response.body)["items"] : json::array();
}

std::vector<FakeJobController::Json> FakeJobController::PodsOf(const Json& job) {
  std::vector<Json> pods;
  for (const Json& pod : List("/api/v1/namespaces/" + Text(job, "/metadata/namespace") + "/pods")) {
    const Json owners = pod["metadata"].value("ownerReferences", Json::array());
    if (std::ranges::any_of(
            owners, [&job](const Json& owner) { return owner["uid"] == job["metadata"]["uid"]; }))
      pods.push_back(pod);
  }
  return pods;
}

bool FakeJobController::Step() {
  const std::uint64_t before = server_.version();
  const Json jobs = List("/apis/batch/v1/jobs");
  for (const Json& job : jobs) LookAtJob(job);
  LetOrphansGo(jobs);
  for (const Json& pod : List("/api/v1/pods")) LookAtPod(pod);
  server_.CollectGarbage();
  return server_.version() != before;
}

void FakeJobController::Settle() {
  for (int i = 0; i < kMaxSteps && Step(); ++i) {
  }
}

// ---- the controller

void FakeJobController::Account(const Json& job, const std::vector<Json>& pods, History& history) {
  const std::int64_t limit = Number(job, "/spec/backoffLimitPerIndex", 6);
  for (const Json& pod : pods) {
    if (!IsTracked(pod) || !IsTerminal(pod)) continue;
    const int index = IndexOf(pod);
    const std::string action = ActionFor(job, pod);
    if (Text(pod, "/status/phase") == "Succeeded") {
      history.succeeded.insert(index);
      ++history.succeeded_pods;
    } else if (action == "FailJob") {
      history.fail_job = "Container worker for pod " + Text(pod, "/metadata/namespace") + "/" +
                         Text(pod, "/metadata/name") +
                         " failed with exit code 78 matching FailJob rule at index 1";
      ++history.failed;
    } else if (action != "Ignore" && !IsLeaving(pod)) {
      Index& one = history.indexes[index];
      ++history.failed;
      ++one.failures;
      if (one.failures > limit) history.given_up.insert(index);
      Duration backoff = kFirstBackoff;
      for (int i = 1; i < one.failures && backoff < kLongestBackoff; ++i) backoff *= 2;
      one.not_before = clock_.Steady() + std::min(backoff, kLongestBackoff);
    }
    Untrack(pod);
  }
}

void FakeJobController::Untrack(const Json& pod) {
  Json finalizers = Json::array();
  for (const Json& finalizer : pod["metadata"]["finalizers"])
    if (finalizer != kTracking) finalizers.push_back(finalizer);
  server_.Do(HttpMethod::kPatch, PathTo(pod, "pods"),
             Json{{"metadata", {{"finalizers", finalizers}}}}.dump(), kMerge);
}

// Pods that are left when their Job is gone are nobody's to count.
void FakeJobController::LetOrphansGo(const Json& jobs) {
  for (const Json& pod : List("/api/v1/pods")) {
    if (!IsTracked(pod)) continue;
    const Json owners = pod["metadata"].value("ownerReferences", Json::array());
    const bool has_job = std::ranges::any_of(jobs, [&owners](const Json& job) {
      return std::ranges::any_of(
          owners, [&job](const Json& owner) { return owner["uid"] == job["metadata"]["uid"]; });
    });
    if (!has_job) Untrack(pod);
  }
}

void FakeJobController::LookAtJob(const Json& job) {
  History& history = histories_[Text(job, "/metadata/uid")];
  Account(job, PodsOf(job), history);
  const bool finished = HasCondition(job, "Complete") || HasCondition(job, "Failed");
  const auto completions = static_cast<int>(Number(job, "/spec/completions", 1));
  const bool suspended = job["spec"].value("suspend", false);
  const bool ending = IsLeaving(job) || finished || !history.fail_job.empty();

  std::set<int> present;
  for (const Json& pod : PodsOf(job)) {
    if (IsTerminal(pod)) continue;
    present.insert(IndexOf(pod));  // also those that end: podReplacementPolicy Failed
    const bool too_many = IndexOf(pod) >= completions;
    if (!IsLeaving(job) && (ending || suspended || too_many) && !IsLeaving(pod)) DeletePod(pod);
  }
  if (!ending && !suspended && !pods_refused_) {
    for (int index = 0; index < completions; ++index) {
      if (present.contains(index) || history.succeeded.contains(index) ||
          history.given_up.contains(index) || history.indexes[index].not_before > clock_.Steady())
        continue;
      CreatePod(job, index);
    }
  }

  Json status = job.value("status", Json::object());
  int active = 0, ready = 0, terminating = 0;
  for (const Json& pod : PodsOf(job)) {
    if (IsTerminal(pod)) continue;
    if (IsLeaving(pod)) {
      ++terminating;
    } else {
      ++active;
      if (Text(pod, "/status/phase") == "Running") ++ready;
    }
  }
  const std::string now = FormatWallTime(clock_.Wall());
  status["active"] = active;
  status["ready"] = ready;
  status["terminating"] = terminating;
  status["succeeded"] = history.succeeded_pods;
  status["failed"] = history.failed;
  status["completedIndexes"] = Intervals(history.succeeded);
  status["failedIndexes"] = Intervals(history.given_up);
  if (!finished && !IsLeaving(job)) {
    if (suspended) {
      SetCondition(status, "Suspended", "True", "JobSuspended", "Job suspended", now);
    } else if (HasCondition(job, "Suspended")) {
      SetCondition(status, "Suspended", "False", "JobResumed", "Job resumed", now);
    }
    const bool at_rest = active == 0 && terminating == 0;
    int done = 0;
    for (int index = 0; index < completions; ++index)
      if (history.succeeded.contains(index) || history.given_up.contains(index)) ++done;
    if (!history.fail_job.empty()) {
      SetCondition(status, "FailureTarget", "True", "PodFailurePolicy", history.fail_job, now);
      if (at_rest)
        SetCondition(status, "Failed", "True", "PodFailurePolicy", history.fail_job, now);
    } else if (done == completions && at_rest && !suspended) {
      if (history.given_up.empty()) {
        SetCondition(status, "Complete", "True", "CompletionsReached", "", now);
      } else {
        SetCondition(status, "Failed", "True", "FailedIndexes", "Job has failed indexes", now);
      }
    }
  }
  if (status == job.value("status", Json::object())) return;
  server_.Do(HttpMethod::kPatch, PathTo(job, "jobs") + "/status", Json{{"status", status}}.dump(),
             kMerge);
}

void FakeJobController::CreatePod(const Json& job, int index) {
  const std::string name = Text(job, "/metadata/name") + "-" + std::to_string(index) + "-" +
                           std::to_string(++pods_made_);
  Json pod = job["spec"]["template"];
  pod["apiVersion"] = "v1";
  pod["kind"] = "Pod";
  Json& metadata = pod["metadata"];
  metadata["name"] = name;
  metadata["namespace"] = job["metadata"]["namespace"];
  metadata["labels"][kIndex] = std::to_string(index);
  metadata["labels"]["batch.kubernetes.io/job-name"] = job["metadata"]["name"];
  metadata["labels"]["batch.kubernetes.io/controller-uid"] = job["metadata"]["uid"];
  metadata["annotations"][kIndex] = std::to_string(index);
  metadata["finalizers"] = {kTracking};
  metadata["ownerReferences"] = Json::array({{{"apiVersion", "batch/v1"},
                                              {"kind", "Job"},
                                              {"name", job["metadata"]["name"]},
                                              {"uid", job["metadata"]["uid"]},
                                              {"controller", true},
                                              {"blockOwnerDeletion", true}}});
  pod["spec"]["nodeName"] = "node-1";
  server_.Do(HttpMethod::kPost, "/api/v1/namespaces/" + Text(job, "/metadata/namespace") + "/pods",
             pod.dump());
}

void FakeJobController::DeletePod(const Json& pod) {
  server_.Do(HttpMethod::kDelete, PathTo(pod, "pods"));
}

// ---- the kubelets

void FakeJobController::LookAtPod(const Json& pod) {
  if (IsTerminal(pod)) {
    // Once its Job has counted it, it may go; the kubelet asks for that, with no grace left.
    if (IsLeaving(pod) && !IsTracked(pod))
      server_.Do(HttpMethod::kDelete, PathTo(pod, "pods") + "?gracePeriodSeconds=0");
    return;
  }
  if (IsLeaving(pod)) {
    if (!ends_held_) End(pod, 143, "Error", false);
    return;
  }
  Json state = {{"running", {{"startedAt", FormatWallTime(clock_.Wall())}}}};
  if (images_broken_) {
    state = {{"waiting",
              {{"reason", "ImagePullBackOff"}, {"message", "Back-off pulling image \"nowhere\""}}}};
  } else if (Text(pod, "/status/phase") == "Running") {
    return;
  }
  const Json status = {
      {"phase", images_broken_ ? "Pending" : "Running"},
      {"containerStatuses", Json::array({{{"name", "worker"}, {"state", state}}})}};
  if (pod["status"].value("containerStatuses", Json()) == status["containerStatuses"]) return;
  server_.Do(HttpMethod::kPatch, PathTo(pod, "pods") + "/status", Json{{"status", status}}.dump(),
             kMerge);
}

void FakeJobController::End(const Json& pod, int code, const std::string& reason, bool disrupted) {
  const std::string now = FormatWallTime(clock_.Wall());
  const Json ended = {{"exitCode", code},
                      {"reason", reason.empty() ? (code == 0 ? "Completed" : "Error") : reason},
                      {"finishedAt", now},
                      {"containerID", "containerd://" + Text(pod, "/metadata/uid")}};
  Json status = {{"phase", code == 0 ? "Succeeded" : "Failed"},
                 {"containerStatuses",
                  Json::array({{{"name", "worker"}, {"state", {{"terminated", ended}}}}})}};
  if (disrupted)
    status["conditions"] = Json::array({{{"type", "DisruptionTarget"}, {"status", "True"}}});
  server_.Do(HttpMethod::kPatch, PathTo(pod, "pods") + "/status", Json{{"status", status}}.dump(),
             kMerge);
}

// ---- levers

FakeJobController::Json FakeJobController::PodOf(const std::string& job, int index) {
  for (const Json& pod : List("/api/v1/pods")) {
    if (pod["metadata"]["labels"].value("batch.kubernetes.io/job-name", std::string()) == job &&
        IndexOf(pod) == index && Text(pod, "/status/phase") == "Running")
      return pod;
  }
  return {};
}

void FakeJobController::Exit(const std::string& job, int index, int code,
                             const std::string& reason) {
  if (const Json pod = PodOf(job, index); !pod.is_null()) End(pod, code, reason, false);
}

void FakeJobController::Disrupt(const std::string& job, int index) {
  if (const Json pod = PodOf(job, index); !pod.is_null()) End(pod, 137, "Error", true);
}

void FakeJobController::LoseNode(const std::string& job, int index) {
  const Json pod = PodOf(job, index);
  if (pod.is_null()) return;
  server_.Do(HttpMethod::kPatch, PathTo(pod, "pods"), R"({"metadata":{"finalizers":null}})",
             kMerge);
  server_.Do(HttpMethod::kDelete, PathTo(pod, "pods") + "?gracePeriodSeconds=0");
}

std::vector<std::string> FakeJobController::Running(const std::string& job) {
  std::map<int, std::string> names;
  for (const Json& pod : List("/api/v1/pods")) {
    if (pod["metadata"]["labels"].value("batch.kubernetes.io/job-name", std::string()) == job &&
        Text(pod, "/status/phase") == "Running")
      names[IndexOf(pod)] = Text(pod, "/metadata/name");
  }
  std::vector<std::string> running;
  for (const auto& [index, name] : names) running.push_back(name);
  return running;
}

std::string FakeJobController::UidOf(const std::string& job, int index) {
  const Json pod = PodOf(job, index);
  return pod.is_null() ? "" : Text(pod, "/metadata/uid");
}

}  // namespace backfill::fakes
