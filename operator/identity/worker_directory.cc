#include "operator/identity/worker_directory.h"

#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "operator/kube/cache/kinds.h"
#include "operator/kube/client/json_fields.h"

namespace backfill::identity {
namespace {

using coordinator::WorkerIdentity;
using kube::ApiObjectPtr;
using kube::ObjectCache;
using kube::ObjectKey;
using kube::OwnerReference;

constexpr std::string_view kStageLabel = "backfill.dev/stage";
constexpr std::string_view kPoolLabel = "backfill.dev/pool";
constexpr std::string_view kGroup = "backfill.dev/";
constexpr int kMaxPool = 5;
constexpr int kIndexesPerPool = 500;

constexpr kube::ResourceType kBackfills{.group = "backfill.dev",
                                        .version = "v1alpha1",
                                        .plural = "backfills",
                                        .kind = "Backfill",
                                        .namespaced = true};

// What the cache does not have, as only metadata is cached.
struct LivePod final : kube::ApiObject {
  kube::Pod pod;
  bool ended = false;
};

Result<ApiObjectPtr> DecodeLivePod(const nlohmann::json& object) {
  const auto pod = TRY(kube::DecodePod(object));
  std::string problem;
  const kube::JsonFields root(object, "", problem);
  const std::string phase = root.Object("status").String("phase");
  if (!problem.empty()) return Error{ErrorCode::kInvalid, std::move(problem)};
  auto live = std::make_shared<LivePod>();
  live->meta = pod->meta;
  live->pod = *kube::As<kube::Pod>(pod);
  live->ended = phase == "Succeeded" || phase == "Failed";
  return ApiObjectPtr(std::move(live));
}

std::optional<int> Number(std::string_view text, int at_most) {
  int n = -1;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (ec != std::errc() || end != text.data() + text.size() || n < 0 || n > at_most)
    return std::nullopt;
  return n;
}

std::string_view LabelOf(const kube::ObjectMeta& meta, std::string_view label) {
  const auto it = meta.labels.find(std::string(label));
  return it == meta.labels.end() ? std::string_view() : std::string_view(it->second);
}

std::optional<reconcile::Stage> StageOf(std::string_view name) {
  for (const auto stage : reconcile::kStages) {
    if (name == reconcile::ToString(stage)) return stage;
  }
  return std::nullopt;
}

// Whether "1,3-5,7" has it.
bool Has(std::string_view indexes, int index) {
  while (!indexes.empty()) {
    const auto comma = indexes.find(',');
    const std::string_view part = indexes.substr(0, comma);
    const auto dash = part.find('-');
    const auto first = Number(part.substr(0, dash), 1 << 30);
    const auto last =
        dash == std::string_view::npos ? first : Number(part.substr(dash + 1), 1 << 30);
    if (first && last && *first <= index && index <= *last) return true;
    if (comma == std::string_view::npos) return false;
    indexes.remove_prefix(comma + 1);
  }
  return false;
}

Refused NotOurs(std::string detail) { return {Refusal::kNotOurWorker, std::move(detail)}; }

// A live read has not found it, or could not be made.
Refused Missing(const kube::ApiError& error, Refusal if_gone) {
  if (error.kind == kube::ApiErrorKind::kNotFound) return {if_gone, error.message};
  return {Refusal::kUnavailable, error.message};
}

using Caches = WorkerDirectory::Caches;

ApiObjectPtr Cached(const std::vector<Caches>& caches, const ObjectCache* Caches::* kind,
                    const ObjectKey& key, std::string_view uid) {
  for (const Caches& of : caches) {
    ApiObjectPtr object = (of.*kind)->Get(key.ns, key.name);
    if (object != nullptr && object->meta.uid == uid) return object;
  }
  return nullptr;
}

}  // namespace

template <typename Lookup>
WorkerDirectory::Found WorkerDirectory::FindBy(const PodClaim& claim, const Lookup& lookup) const {
  const auto pod = TRY(lookup.Pod(ObjectKey{claim.ns, claim.pod}, claim.uid));
  const OwnerReference* job_ref = pod.meta.controller();
  if (job_ref == nullptr || job_ref->kind != "Job" || job_ref->api_version != "batch/v1")
    return NotOurs("the pod is controlled by no Job");
  if (!pod.completion_index || *pod.completion_index >= kIndexesPerPool)
    return NotOurs("the pod has no completion index");

  const auto job = TRY(lookup.Job(ObjectKey{claim.ns, job_ref->name}, job_ref->uid));
  const OwnerReference* backfill_ref = job->meta.controller();
  if (backfill_ref == nullptr || backfill_ref->kind != "Backfill" ||
      !backfill_ref->api_version.starts_with(kGroup)) {
    return NotOurs("the Job is controlled by no Backfill");
  }
  const auto stage = StageOf(LabelOf(job->meta, kStageLabel));
  const auto pool = Number(LabelOf(job->meta, kPoolLabel), kMaxPool);
  if (!stage || !pool) return NotOurs("the labels of the Job name no stage or pool");
  // Anybody who may make Jobs can write an owner; but there is one Job of a name.
  std::string name = backfill_ref->name + "-" + std::string(reconcile::ToString(*stage));
  if (*pool > 0) name += "-" + std::to_string(*pool);
  if (job->meta.name != name) return NotOurs("the Job has not the name of its stage");
  const int index = *pod.completion_index;
  if (job->IsFinished() || Has(job->completed_indexes, index) || Has(job->failed_indexes, index))
    return Refused{Refusal::kPodEnded, "the pod's index has ended"};

  TRY(lookup.Backfill(ObjectKey{claim.ns, backfill_ref->name}, backfill_ref->uid));
  return WorkerIdentity{.stage = {.ns = claim.ns,
                                  .name = backfill_ref->name,
                                  .uid = backfill_ref->uid,
                                  .stage = *stage},
                        .worker = std::string(reconcile::ToString(*stage)) + "-" +
                                  std::to_string(*pool * kIndexesPerPool + index),
                        .instance = claim.uid,
                        .created = pod.meta.creation_time};
}

namespace {

// ---- the two ways to look things up

struct CachedLookup {
  const std::vector<Caches>& caches;

  template <typename T>
  static Result<T, Refused> Unknown() {
    return Refused{Refusal::kUnavailable, "not in the caches"};
  }
  Result<kube::Pod, Refused> Pod(const ObjectKey& key, const std::string& uid) const {
    const auto pod = kube::As<kube::Pod>(Cached(caches, &Caches::pods, key, uid));
    if (pod == nullptr) return Unknown<kube::Pod>();
    return *pod;
  }
  Result<std::shared_ptr<const kube::Job>, Refused> Job(const ObjectKey& key,
                                                        const std::string& uid) const {
    auto job = kube::As<kube::Job>(Cached(caches, &Caches::jobs, key, uid));
    if (job == nullptr) return Unknown<std::shared_ptr<const kube::Job>>();
    return job;
  }
  Result<Ok, Refused> Backfill(const ObjectKey& key, const std::string& uid) const {
    if (Cached(caches, &Caches::backfills, key, uid) == nullptr) return Unknown<Ok>();
    return Ok{};
  }
};

struct LiveLookup {
  CachedLookup cached;
  const kube::ApiClient& client;
  const kube::CallLimits& limits;

  Result<ApiObjectPtr, Refused> Get(const kube::Resource& resource, const ObjectKey& key,
                                    const std::string& uid, Refusal if_gone) const {
    auto read = client.Get(resource, key, limits);
    if (!read.ok()) return Missing(read.error(), if_gone);
    if ((*read)->meta.uid != uid) return Refused{if_gone, "another object has that name now"};
    return std::move(read).value();
  }
  Result<kube::Pod, Refused> Pod(const ObjectKey& key, const std::string& uid) const {
    if (auto known = cached.Pod(key, uid); known.ok()) return known;
    const auto live =
        kube::As<LivePod>(TRY(Get({kube::kPods, DecodeLivePod}, key, uid, Refusal::kPodGone)));
    if (live->ended) return Refused{Refusal::kPodEnded, "the pod has ended"};
    return live->pod;
  }
  Result<std::shared_ptr<const kube::Job>, Refused> Job(const ObjectKey& key,
                                                        const std::string& uid) const {
    if (auto known = cached.Job(key, uid); known.ok()) return known;
    return kube::As<kube::Job>(
        TRY(Get({kube::kJobs, kube::DecodeJob}, key, uid, Refusal::kNotOurWorker)));
  }
  Result<Ok, Refused> Backfill(const ObjectKey& key, const std::string& uid) const {
    if (cached.Backfill(key, uid).ok()) return Ok{};
    TRY(Get({kBackfills, kube::DecodeMetaOnly}, key, uid, Refusal::kNotOurWorker));
    return Ok{};
  }
};

}  // namespace

std::optional<WorkerDirectory::Found> WorkerDirectory::FindCached(const PodClaim& claim) const {
  Found found = FindBy(claim, CachedLookup{caches_});
  if (!found.ok() && found.error().why == Refusal::kUnavailable) return std::nullopt;
  return found;
}

WorkerDirectory::Found WorkerDirectory::Find(const PodClaim& claim,
                                             const kube::CallLimits& limits) const {
  return FindBy(claim, LiveLookup{CachedLookup{caches_}, client_, limits});
}

}  // namespace backfill::identity
