#include "operator/reconcile/pod_state.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "operator/api/worker_pod.h"
#include "operator/kube/client/json_fields.h"

namespace backfill::reconcile {
namespace {

constexpr std::size_t kMaxText = 512;
constexpr std::size_t kMaxContainers = 64;

// It goes into messages; anybody who can write to a pod's status could have written it.
std::string Text(const kube::JsonFields& fields, const char* key) {
  std::string text(CutToBytes(fields.String(key), kMaxText));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text;
}

void ReadEnd(const kube::JsonFields& terminated, PodState& pod) {
  PodState::Ended ended;
  ended.exit_code = static_cast<int>(terminated.Int("exitCode"));
  ended.signal = static_cast<int>(terminated.Int("signal"));
  ended.reason = Text(terminated, "reason");
  // ContainerStatusUnknown: the kubelet has lost track of it.
  ended.certain = !terminated.String("containerID").empty() &&
                  !terminated.String("finishedAt").empty() &&
                  ended.reason != "ContainerStatusUnknown";
  pod.ended = std::move(ended);
}

void ReadContainers(const kube::JsonFields& status, const char* list, PodState& pod) {
  std::size_t read = 0;
  for (const kube::JsonFields& container : status.Objects(list)) {
    if (++read > kMaxContainers) return;
    const kube::JsonFields state = container.Object("state");
    if (state.Has("terminated") && std::string_view(list) == "containerStatuses" &&
        container.String("name") == api::kWorkerContainer)
      ReadEnd(state.Object("terminated"), pod);
    const kube::JsonFields waiting = state.Object("waiting");
    // PodInitializing, ContainerCreating: it begins, or it waits for one that says more.
    const std::string reason = Text(waiting, "reason");
    if (reason.empty() || reason == "PodInitializing" || reason == "ContainerCreating") continue;
    if (!pod.waits_for.empty() && !IsImageTrouble(reason)) continue;
    pod.waits_for = reason;
    pod.waits_message = Text(waiting, "message");
  }
}

Result<kube::ApiObjectPtr> DecodePodState(const nlohmann::json& object) {
  auto pod = std::make_shared<PodState>();
  pod->meta = TRY(kube::DecodeMeta(object));
  std::string problem;
  const kube::JsonFields root(object, "", problem);
  const kube::JsonFields status = root.Object("status");
  pod->phase = Text(status, "phase");
  ReadContainers(status, "initContainerStatuses", *pod);
  ReadContainers(status, "containerStatuses", *pod);
  for (const kube::JsonFields& condition : status.Objects("conditions")) {
    if (condition.String("type") != "PodScheduled" || condition.String("status") != "False")
      continue;
    pod->waits_for = Text(condition, "reason");
    pod->waits_message = Text(condition, "message");
  }
  if (!problem.empty()) return Error{ErrorCode::kInvalid, std::move(problem)};
  return kube::ApiObjectPtr(std::move(pod));
}

}  // namespace

kube::Resource PodStates() { return {kube::kPods, &DecodePodState}; }

std::string DescribeEnd(const std::string& worker, const PodState& pod) {
  std::string text = worker + " (pod " + pod.meta.name + ")";
  if (!pod.ended) return text + " ended";
  const PodState::Ended& ended = *pod.ended;
  if (ended.signal != 0) {
    text += " was killed by signal " + std::to_string(ended.signal);
  } else {
    text += " exited with " + std::to_string(ended.exit_code);
  }
  if (!ended.reason.empty() && ended.reason != "Error" && ended.reason != "Completed")
    text += " (" + ended.reason + ")";
  return text;
}

bool IsImageTrouble(const std::string& waits_for) {
  static constexpr std::array kReasons = {
      "ErrImagePull",      "ImagePullBackOff",    "InvalidImageName",         "ErrImageNeverPull",
      "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"};
  return std::ranges::count(kReasons, waits_for) > 0;
}

}  // namespace backfill::reconcile
