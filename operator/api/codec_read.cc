#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "operator/api/codec.h"
#include "operator/api/codec_throttle.h"
#include "operator/api/decode.h"
#include "operator/api/json.h"

namespace backfill::api {
namespace {

using Kind = Node::Kind;

constexpr std::array kPhases = {
    Phase::kPending,          Phase::kPlanning, Phase::kDryRunning,
    Phase::kAwaitingApproval, Phase::kRunning,  Phase::kPaused,
    Phase::kCompleted,        Phase::kFailed,   Phase::kCancelled,
};
constexpr std::array kConditionStatuses = {ConditionStatus::kTrue, ConditionStatus::kFalse,
                                           ConditionStatus::kUnknown};
constexpr std::array kFileFormats = {FileFormat::kLines, FileFormat::kCsv, FileFormat::kNdJson};
constexpr std::array kSideEffects = {SideEffects::kUnknown, SideEffects::kNone};
constexpr std::array kEncodings = {SecretEncoding::kNone, SecretEncoding::kBase64};
constexpr std::array kReactions = {OnExceeded::kPause, OnExceeded::kFail};

void Read(const Node& map, std::string_view key, std::string& value) {
  if (const Node* node = map.At(key, Kind::kString)) value = node->text;
}
void Read(const Node& map, std::string_view key, bool& value) {
  if (const Node* node = map.At(key, Kind::kBool)) value = node->boolean;
}
template <typename Int>
  requires(std::is_integral_v<Int> && !std::is_same_v<Int, bool>)
void Read(const Node& map, std::string_view key, Int& value) {
  const Node* node = map.At(key, Kind::kInteger);
  if (node == nullptr) return;
  value = static_cast<Int>(std::clamp<Integer>(node->integer, std::numeric_limits<Int>::min(),
                                               std::numeric_limits<Int>::max()));
}
void Read(const Node& map, std::string_view key, double& value) {
  const Node* node = map.At(key);
  if (node == nullptr) return;
  value = node->Is(Kind::kInteger) ? static_cast<double>(node->integer) : node->number;
}
void Read(const Node& map, std::string_view key, std::vector<int>& value) {
  const Node* node = map.At(key, Kind::kList);
  if (node == nullptr) return;
  for (const Node& item : node->items) value.push_back(static_cast<int>(item.integer));
}
void Read(const Node& map, std::string_view key, std::map<std::string, std::string>& value) {
  const Node* node = map.At(key, Kind::kMap);
  if (node == nullptr) return;
  for (const Member& member : node->members) value.emplace(member.key, member.value.text);
}
void Read(const Node& map, std::string_view key, std::vector<std::string>& value) {
  const Node* node = map.At(key, Kind::kList);
  if (node == nullptr) return;
  for (const Node& item : node->items) value.push_back(item.text);
}
// An enum of which `all` are the values, by its ToString().
template <typename Enum, std::size_t N>
void Read(const Node& map, std::string_view key, const std::array<Enum, N>& all, Enum& value) {
  const Node* node = map.At(key, Kind::kString);
  if (node == nullptr) return;
  for (const Enum candidate : all) {
    if (ToString(candidate) == node->text) value = candidate;
  }
}

std::optional<Owner> ReadOwner(const Node& spec) {
  if (spec.At("owner", Kind::kMap) == nullptr) return std::nullopt;
  Owner owner;
  Read(spec, "owner.team", owner.team);
  Read(spec, "owner.contact", owner.contact);
  Read(spec, "owner.runbook", owner.runbook);
  return owner;
}

std::vector<Stakeholder> ReadStakeholders(const Node& spec) {
  std::vector<Stakeholder> stakeholders;
  const Node* list = spec.At("stakeholders", Kind::kList);
  if (list == nullptr) return stakeholders;
  for (const Node& item : list->items) {
    Stakeholder& stakeholder = stakeholders.emplace_back();
    Read(item, "name", stakeholder.name);
    Read(item, "contact", stakeholder.contact);
    Read(item, "impact", stakeholder.impact);
  }
  return stakeholders;
}

HttpTls ReadTls(const Node& node) {
  HttpTls tls;
  Read(node, "caFile", tls.ca_file);
  Read(node, "certFile", tls.cert_file);
  Read(node, "keyFile", tls.key_file);
  Read(node, "serverName", tls.server_name);
  return tls;
}

SecretHeader ReadSecretHeader(const Node& node) {
  SecretHeader header;
  Read(node, "name", header.name);
  Read(node, "prefix", header.prefix);
  Read(node, "file", header.file);
  Read(node, "env", header.env);
  Read(node, "encode", kEncodings, header.encode);
  return header;
}

// Of a source or a target.
template <typename T>
void ReadCredentials(const Node& node, T& into) {
  if (const Node* headers = node.At("secretHeaders", Kind::kList)) {
    for (const Node& header : headers->items)
      into.secret_headers.push_back(ReadSecretHeader(header));
  }
  if (const Node* tls = node.At("tls", Kind::kMap)) into.tls = ReadTls(*tls);
}

Source ReadSource(const Node& node) {
  if (const Node* keys = node.At("keys", Kind::kList)) {
    KeysSource source;
    source.keys.reserve(keys->items.size());
    for (const Node& key : keys->items) source.keys.push_back(key.text);
    return source;
  }
  if (const Node* failures = node.At("failuresOf", Kind::kMap)) {
    FailuresOfSource source;
    Read(*failures, "name", source.name);
    Read(*failures, "namespace", source.ns);
    if (const Node* classes = failures->At("classes", Kind::kList)) {
      for (const Node& item : classes->items) source.classes.push_back(item.text);
    }
    return source;
  }
  if (const Node* file = node.At("file", Kind::kMap)) {
    FileSource source;
    Read(*file, "path", source.path);
    Read(*file, "format", kFileFormats, source.format);
    Read(*file, "key", source.key);
    Read(*file, "delimiter", source.delimiter);
    ReadCredentials(*file, source);
    return source;
  }
  RangeSource source;
  Read(node, "range.start", source.start);
  Read(node, "range.end", source.end);
  return source;
}

HttpDryRun ReadDryRun(const Node& node) {
  HttpDryRun request;
  Read(node, "method", request.method);
  Read(node, "url", request.url);
  Read(node, "headers", request.headers);
  Read(node, "body", request.body);
  Read(node, "sideEffects", kSideEffects, request.side_effects);
  return request;
}

HttpTarget ReadHttp(const Node& node) {
  HttpTarget http;
  Read(node, "url", http.url);
  Read(node, "method", http.method);
  Read(node, "headers", http.headers);
  Read(node, "body", http.body);
  if (const Node* timeout = node.At("timeout", Kind::kString)) {
    http.timeout = ParseDuration(timeout->text).value_or(http.timeout);
    if (timeout->text != WriteDuration(http.timeout)) http.timeout_text = timeout->text;
  }
  ReadCredentials(node, http);
  Read(node, "outcomes.updated", http.outcomes.updated);
  Read(node, "outcomes.unchanged", http.outcomes.unchanged);
  Read(node, "outcomes.skipped", http.outcomes.skipped);
  Read(node, "outcomes.transient", http.outcomes.transient);
  Read(node, "outcomes.conflict", http.outcomes.conflict);
  Read(node, "outcomes.permanent", http.outcomes.permanent);
  if (const Node* dry_run = node.At("dryRun", Kind::kMap)) http.dry_run = ReadDryRun(*dry_run);
  return http;
}

ProgressStatus ReadProgress(const Node& node) {
  ProgressStatus progress;
  Read(node, "records", progress.records);
  Read(node, "updated", progress.updated);
  Read(node, "unchanged", progress.unchanged);
  Read(node, "skipped", progress.skipped);
  Read(node, "failed", progress.failed);
  Read(node, "shardsDone", progress.shards_done);
  Read(node, "ratio", progress.ratio);
  Read(node, "redoneAtMost", progress.redone_at_most);
  return progress;
}

Condition ReadCondition(const Node& node) {
  Condition condition;
  Read(node, "type", condition.type);
  Read(node, "status", kConditionStatuses, condition.status);
  Read(node, "reason", condition.reason);
  Read(node, "message", condition.message);
  Read(node, "observedGeneration", condition.observed_generation);
  Read(node, "lastTransitionTime", condition.last_transition_time);
  return condition;
}

}  // namespace

Spec ReadSpec(const Node& node) {
  Spec spec;
  Read(node, "description", spec.description);
  spec.owner = ReadOwner(node);
  spec.stakeholders = ReadStakeholders(node);
  if (const Node* source = node.At("source", Kind::kMap)) spec.source = ReadSource(*source);
  if (const Node* http = node.At("target.http", Kind::kMap)) spec.target = ReadHttp(*http);
  if (node.At("sharding", Kind::kMap) != nullptr) {
    spec.sharding.emplace();
    Read(node, "sharding.recordsPerShard", spec.sharding->records_per_shard);
  }
  Read(node, "workers.replicas", spec.workers.replicas);
  Read(node, "workers.concurrency", spec.workers.concurrency);
  Read(node, "workers.batchSize", spec.workers.batch_size);
  if (const Node* pods = node.At("workers.template", Kind::kMap)) {
    spec.workers.pod_template = WriteJson(*pods, -1, MemberOrder::kSorted);
  }
  Read(node, "dryRun", spec.dry_run);
  Read(node, "performDisruptiveBackfill", spec.perform_disruptive_backfill);
  Read(node, "paused", spec.paused);
  if (const Node* throttle = node.At("throttle", Kind::kMap))
    spec.throttle = ReadThrottle(*throttle);
  if (const Node* schedule = node.At("schedule", Kind::kMap))
    spec.schedule = ReadSchedule(*schedule);
  Read(node, "failurePolicy.attempts", spec.failure_policy.attempts);
  Read(node, "failurePolicy.maxFailedRecords", spec.failure_policy.max_failed_records);
  Read(node, "failurePolicy.maxFailedPercent", spec.failure_policy.max_failed_percent);
  Read(node, "failurePolicy.onExceeded", kReactions, spec.failure_policy.on_exceeded);
  return spec;
}

Status ReadStatus(const Node& node) {
  Status status;
  Read(node, "observedGeneration", status.observed_generation);
  if (node.At("phase", Kind::kString) != nullptr) {
    Read(node, "phase", kPhases, status.phase.emplace());
  }
  if (node.At("plan", Kind::kMap) != nullptr) {
    PlanStatus& plan = status.plan.emplace();
    Read(node, "plan.hash", plan.hash);
    Read(node, "plan.shards", plan.shards);
    Read(node, "plan.records", plan.records);
    Read(node, "plan.time", plan.time);
    Read(node, "plan.workerImage", plan.worker_image);
    Read(node, "plan.badRecords", plan.bad_records);
    Read(node, "plan.duplicateKeys", plan.duplicate_keys);
    Read(node, "plan.duplicatesEstimated", plan.duplicates_estimated);
  }
  if (const Node* dry_run = node.At("dryRun", Kind::kMap)) status.dry_run = ReadProgress(*dry_run);
  if (const Node* run = node.At("progress", Kind::kMap)) status.progress = ReadProgress(*run);
  if (node.At("rate", Kind::kMap) != nullptr) {
    RateStatus& rate = status.rate.emplace();
    Read(node, "rate.current", rate.current);
    Read(node, "rate.limit", rate.limit);
    Read(node, "rate.limitedBy", rate.limited_by);
  }
  if (const Node* throttle = node.At("throttle", Kind::kMap))
    status.throttle = ReadThrottleStatus(*throttle);
  Read(node, "eta", status.eta);
  if (node.At("workers", Kind::kMap) != nullptr) {
    WorkersStatus& workers = status.workers.emplace();
    Read(node, "workers.desired", workers.desired);
    Read(node, "workers.connected", workers.connected);
  }
  Read(node, "report", status.report);
  Read(node, "display.progress", status.display.progress);
  Read(node, "display.rate", status.display.rate);
  Read(node, "display.shards", status.display.shards);
  Read(node, "display.workers", status.display.workers);
  Read(node, "display.plan", status.display.plan);
  if (const Node* conditions = node.At("conditions", Kind::kList)) {
    for (const Node& condition : conditions->items) {
      status.conditions.push_back(ReadCondition(condition));
    }
  }
  return status;
}

Backfill ReadBackfill(const Node& root) {
  Backfill backfill;
  Read(root, "metadata.name", backfill.name);
  Read(root, "metadata.namespace", backfill.ns);
  Read(root, "metadata.uid", backfill.uid);
  Read(root, "metadata.resourceVersion", backfill.resource_version);
  Read(root, "metadata.generation", backfill.generation);
  Read(root, "metadata.creationTimestamp", backfill.creation_time);
  Read(root, "metadata.deletionTimestamp", backfill.deletion_time);
  Read(root, "metadata.finalizers", backfill.finalizers);
  Read(root, "metadata.annotations", backfill.annotations);
  Read(root, "metadata.labels", backfill.labels);
  if (const Node* spec = root.At("spec", Kind::kMap)) backfill.spec = ReadSpec(*spec);
  if (const Node* status = root.At("status", Kind::kMap)) backfill.status = ReadStatus(*status);
  return backfill;
}

std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  constexpr Integer kMax = Integer{100} * 366 * 24 * 3600 * 1000;
  if (text.empty()) return std::nullopt;
  Integer total = 0;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    Integer amount = 0;
    for (const char c : text.substr(0, digits)) amount = std::min(amount * 10 + (c - '0'), kMax);
    text.remove_prefix(digits);
    Integer unit = 0;
    if (text.starts_with("ms"))
      unit = 1;
    else if (text.starts_with('s'))
      unit = 1000;
    else if (text.starts_with('m'))
      unit = 60'000;
    else if (text.starts_with('h'))
      unit = 3'600'000;
    if (digits == 0 || unit == 0) return std::nullopt;
    text.remove_prefix(unit == 1 ? 2 : 1);
    total = std::min(total + amount * unit, kMax);
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(total));
}

}  // namespace backfill::api
