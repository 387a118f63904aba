#include "operator/leader/leader_label.h"

#include <pthread.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/log.h"
#include "operator/kube/cache/kinds.h"

namespace backfill::leader {
namespace {

using kube::ApiErrorKind;
using nlohmann::json;

constexpr std::string_view kLeads = "true";

const kube::Resource kOperatorPods{.type = kube::kPods, .decode = &kube::DecodeMetaOnly};

// With a version: only if the pod is still what was seen.
std::string LabelPatch(bool leads, const std::string& version) {
  json patch = {{"metadata", {{"labels", {{kLeaderLabel, nullptr}}}}}};
  if (leads) patch["metadata"]["labels"][kLeaderLabel] = kLeads;
  if (!version.empty()) patch["metadata"]["resourceVersion"] = version;
  return patch.dump();
}

bool HasLabel(const kube::ObjectMeta& pod) {
  return pod.labels.contains(std::string(kLeaderLabel));
}

bool IsLabelled(const kube::ObjectMeta& pod) {
  const auto label = pod.labels.find(std::string(kLeaderLabel));
  return label != pod.labels.end() && label->second == kLeads;
}

}  // namespace

LeaderLabel::LeaderLabel(const kube::ApiClient& api, const Clock& clock,
                         const coordinator::Leadership& leadership, LeaderLabelOptions options)
    : api_(api), clock_(clock), leadership_(leadership), options_(std::move(options)) {}

LeaderLabel::~LeaderLabel() { Stop(clock_.Steady()); }

kube::CallLimits LeaderLabel::Limits(const std::stop_token& stop) const {
  return {.deadline = clock_.Steady() + options_.call_timeout, .stop = stop};
}

Status LeaderLabel::ClearOwn(Time deadline, const std::stop_token& stop) {
  Duration wait = options_.first_wait;
  while (true) {
    kube::CallLimits limits = Limits(stop);
    limits.deadline = std::min(limits.deadline, deadline);
    const auto cleared =
        api_.Patch(kOperatorPods, {.ns = options_.ns, .name = options_.pod}, LabelPatch(false, ""),
                   {.type = kube::PatchType::kMerge}, limits);
    // R25: what is gone has no label.
    if (cleared.ok() || cleared.error().kind == ApiErrorKind::kNotFound) return Ok{};
    const bool hopeless = cleared.error().kind == ApiErrorKind::kForbidden ||
                          cleared.error().kind == ApiErrorKind::kInvalid;
    if (hopeless || stop.stop_requested() || clock_.Steady() + wait >= deadline)
      return cleared.error().ToError().Annotate("taking the leader's label off this pod");
    options_.wait(clock_.Steady() + wait, stop);
    wait = std::min(wait * 2, options_.longest_wait);
  }
}

void LeaderLabel::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    Duration wait = options_.first_wait;
    while (!stop.stop_requested()) {
      const Status taken = Take(stop);
      if (taken.ok()) {
        wait = options_.first_wait;
        options_.wait(clock_.Steady() + options_.look_every, stop);
        continue;
      }
      if (stop.stop_requested()) return;
      Log(taken.error().code == ErrorCode::kConflict ? LogLevel::kInfo : LogLevel::kWarning,
          "the leader's label is not where it belongs yet", {{"error", taken.error().message}});
      options_.wait(clock_.Steady() + wait, stop);
      wait = std::min(wait * 2, options_.longest_wait);
    }
  });
  pthread_setname_np(thread_.native_handle(), "bf-leader-label");
}

void LeaderLabel::Stop(Time deadline) {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  if (const Status cleared = ClearOwn(deadline); !cleared.ok())
    Log(LogLevel::kWarning, "the leader's label stays until another takes it off",
        {{"error", cleared.error().message}});
}

Status LeaderLabel::Take(const std::stop_token& stop) {
  const auto page =
      api_.ListAll(kOperatorPods, {.ns = options_.ns, .label_selector = options_.selector},
                   options_.max_pods, Limits(stop));
  if (!page.ok()) return page.error().ToError().Annotate("looking who has the leader's label");
  std::vector<const kube::ObjectMeta*> others;
  const kube::ObjectMeta* own = nullptr;
  for (const kube::ApiObjectPtr& pod : page->items) {
    if (pod->meta.name == options_.pod) {
      own = &pod->meta;
    } else if (HasLabel(pod->meta)) {
      others.push_back(&pod->meta);
    }
  }
  if (own == nullptr) {
    return Error{ErrorCode::kNotFound, "this pod, " + options_.ns + "/" + options_.pod +
                                           ", is not among those with the labels " +
                                           options_.selector};
  }
  for (const kube::ObjectMeta* other : others) TRY(Set(*other, false, stop));
  if (IsLabelled(*own)) return Ok{};  // R28: no write that changes nothing
  return Set(*own, true, stop);
}

Status LeaderLabel::Set(const kube::ObjectMeta& pod, bool leads, const std::stop_token& stop) {
  if (!leadership_.Valid(clock_.Steady()))
    return Error{ErrorCode::kAborted, "this process does not lead"};
  const auto set = api_.Patch(kOperatorPods, {.ns = options_.ns, .name = pod.name},
                              LabelPatch(leads, pod.resource_version),
                              {.type = kube::PatchType::kMerge}, Limits(stop));
  if (set.ok()) return Ok{};
  if (!leads && set.error().kind == ApiErrorKind::kNotFound) return Ok{};
  return set.error().ToError().Annotate(leads ? "taking the leader's label"
                                              : "taking the leader's label off " + pod.name);
}

}  // namespace backfill::leader
