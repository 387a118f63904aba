#include "operator/kube/cache/kinds.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include "operator/kube/client/json_fields.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxMessage = 512;
constexpr std::size_t kMaxIndexes = 4096;
constexpr std::size_t kMaxConditions = 16;
constexpr std::size_t kMaxLabel = 63;  // what a value may have; a key: a prefix of 253, then 64
constexpr std::string_view kUidLabel = "backfill.dev/backfill-uid";
constexpr std::string_view kStageLabel = "backfill.dev/stage";
constexpr std::string_view kPoolLabel = "backfill.dev/pool";
constexpr std::string_view kIndexLabel = "batch.kubernetes.io/job-completion-index";
constexpr std::string_view kTracking = "batch.kubernetes.io/job-tracking";

std::int32_t Int32(const JsonFields& fields, const char* key, std::int32_t otherwise,
                   std::string& problem) {
  const std::int64_t value = fields.Int(key, otherwise);
  if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max())
    return static_cast<std::int32_t>(value);
  if (problem.empty()) problem = std::string(key) + ": must be between 0 and 2147483647";
  return otherwise;
}

// Not within a character.
std::string Cut(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  text.resize(most);
  text.shrink_to_fit();
  return text;
}

std::string Indexes(const JsonFields& status, const char* key) {
  std::string indexes = status.String(key);
  return indexes.size() <= kMaxIndexes ? indexes : std::string();
}

// Annotations of others can be of any size: kubectl keeps the whole object in one.
void KeepOwnAnnotations(ObjectMeta& meta) {
  std::erase_if(meta.annotations, [](const auto& annotation) {
    const std::string_view name = annotation.first;
    return !name.starts_with("backfill.dev/") && !name.starts_with("kueue.x-k8s.io/");
  });
}

std::optional<std::int32_t> NumberOf(const std::string& text) {
  std::int32_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec == std::errc() && end == text.data() + text.size() && number >= 0) return number;
  return std::nullopt;
}

std::optional<std::int32_t> IndexOf(const ObjectMeta& meta) {
  // Written by the Job controller as both; the annotation is the older way.
  for (const auto* where : {&meta.labels, &meta.annotations}) {
    const auto it = where->find(std::string(kIndexLabel));
    if (it == where->end()) continue;
    if (const auto index = NumberOf(it->second)) return index;
  }
  return std::nullopt;
}

}  // namespace

const JobCondition* Job::Condition(std::string_view type) const {
  for (const JobCondition& condition : conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

bool Job::IsTrue(std::string_view type) const {
  const JobCondition* condition = Condition(type);
  return condition != nullptr && condition->status == "True";
}

bool Job::IsFinished() const { return IsTrue("Complete") || IsTrue("Failed"); }

Result<ApiObjectPtr> DecodeJob(const nlohmann::json& object) {
  auto job = std::make_shared<Job>();
  job->meta = TRY(DecodeMeta(object));
  KeepOwnAnnotations(job->meta);

  std::string problem;
  const JsonFields root(object, "", problem);
  const JsonFields spec = root.Object("spec");
  job->parallelism = Int32(spec, "parallelism", 1, problem);
  job->completions = Int32(spec, "completions", 1, problem);
  job->suspend = spec.Bool("suspend");

  const JsonFields status = root.Object("status");
  job->active = Int32(status, "active", 0, problem);
  job->ready = Int32(status, "ready", 0, problem);
  job->terminating = Int32(status, "terminating", 0, problem);
  job->succeeded = Int32(status, "succeeded", 0, problem);
  job->failed = Int32(status, "failed", 0, problem);
  job->completed_indexes = Indexes(status, "completedIndexes");
  job->failed_indexes = Indexes(status, "failedIndexes");
  for (const JsonFields& condition : status.Objects("conditions")) {
    if (job->conditions.size() == kMaxConditions) break;
    job->conditions.push_back(
        {.type = Cut(condition.String("type"), kMaxLabel),
         .status = Cut(condition.String("status"), kMaxLabel),
         .reason = Cut(condition.String("reason"), kMaxMessage),
         .message = Cut(condition.String("message"), kMaxMessage),
         .last_transition_time = Cut(condition.String("lastTransitionTime"), kMaxLabel)});
  }
  job->conditions.shrink_to_fit();
  if (!problem.empty()) return Error{ErrorCode::kInvalid, std::move(problem)};
  return ApiObjectPtr(std::move(job));
}

Result<ApiObjectPtr> DecodePod(const nlohmann::json& object) {
  auto pod = std::make_shared<Pod>();
  pod->meta = TRY(DecodeMeta(object));
  ObjectMeta& meta = pod->meta;
  pod->completion_index = IndexOf(meta);
  const auto uid = meta.labels.find(std::string(kUidLabel));
  if (uid != meta.labels.end()) pod->backfill_uid = std::move(uid->second);
  const auto stage = meta.labels.find(std::string(kStageLabel));
  if (stage != meta.labels.end()) pod->stage = std::move(stage->second);
  const auto pool = meta.labels.find(std::string(kPoolLabel));
  if (pool != meta.labels.end()) pod->pool = NumberOf(pool->second).value_or(0);
  pod->tracked = std::ranges::count(meta.finalizers, kTracking) > 0;
  meta.labels.clear();
  meta.annotations.clear();
  meta.finalizers = std::vector<std::string>();
  std::erase_if(meta.owners, [](const OwnerReference& owner) { return !owner.controller; });
  meta.owners.shrink_to_fit();
  return ApiObjectPtr(std::move(pod));
}

Result<ApiObjectPtr> DecodeConfigMap(const nlohmann::json& object) {
  auto map = std::make_shared<ConfigMap>();
  map->meta = TRY(DecodeMeta(object));
  std::string problem;
  map->data = JsonFields(object, "", problem).StringMap("data");
  if (!problem.empty()) return Error{ErrorCode::kInvalid, std::move(problem)};
  return ApiObjectPtr(std::move(map));
}

CacheIndex ByBackfillOfPod() {
  return {.name = "backfill", .keys = [](const ApiObject& object) {
            return std::vector{static_cast<const Pod&>(object).backfill_uid};
          }};
}

}  // namespace backfill::kube
