#include <algorithm>
#include <cmath>
#include <utility>

#include "operator/api/codec.h"
#include "operator/api/codec_throttle.h"
#include "operator/api/crd.h"
#include "operator/api/decode.h"
#include "operator/api/json.h"

namespace backfill::api {
namespace {

// Appends what is not empty: an absent text field and an empty one mean the same.
void AddText(Node& map, const char* key, const std::string& value) {
  if (!value.empty()) map.Add(key, Node::String(value));
}

Node Texts(const std::map<std::string, std::string>& values) {
  Node map = Node::Map();
  for (const auto& [key, value] : values) map.Add(key, Node::String(value));
  return map;
}

Node Codes(const std::vector<int>& codes) {
  Node list = Node::List();
  for (const int code : codes) list.items.push_back(Node::Int(code));
  return list;
}

// Three decimals are enough for a rate, and keep the status small.
Node Rate(double rate) {
  return Node::Float(std::isfinite(rate) ? std::round(std::clamp(rate, 0.0, 1e12) * 1000) / 1000
                                         : 0);
}

void AddPeople(Node& spec, const std::optional<Owner>& owner,
               const std::vector<Stakeholder>& stakeholders) {
  if (owner) {
    Node& node = spec.Add("owner", Node::Map());
    node.Add("team", Node::String(owner->team));
    node.Add("contact", Node::String(owner->contact));
    node.Add("runbook", Node::String(owner->runbook));
  }
  Node& list = spec.Add("stakeholders", Node::List());
  for (const Stakeholder& stakeholder : stakeholders) {
    Node node = Node::Map();
    node.Add("name", Node::String(stakeholder.name));
    node.Add("contact", Node::String(stakeholder.contact));
    node.Add("impact", Node::String(stakeholder.impact));
    list.items.push_back(std::move(node));
  }
}

Node WriteSecretHeader(const SecretHeader& header) {
  Node node = Node::Map();
  node.Add("name", Node::String(header.name));
  node.Add("prefix", Node::String(header.prefix));
  AddText(node, "file", header.file);
  AddText(node, "env", header.env);
  node.Add("encode", Node::String(std::string(ToString(header.encode))));
  return node;
}

// Only if there are any: work that has none is the same work as before there could be any.
void AddCredentials(Node& node, const std::vector<SecretHeader>& secret_headers,
                    const std::optional<HttpTls>& tls) {
  if (!secret_headers.empty()) {
    Node& headers = node.Add("secretHeaders", Node::List());
    for (const SecretHeader& header : secret_headers)
      headers.items.push_back(WriteSecretHeader(header));
  }
  if (!tls) return;
  Node& files = node.Add("tls", Node::Map());
  AddText(files, "caFile", tls->ca_file);
  AddText(files, "certFile", tls->cert_file);
  AddText(files, "keyFile", tls->key_file);
  AddText(files, "serverName", tls->server_name);
}

Node WriteSource(const Source& source) {
  Node node = Node::Map();
  if (const auto* range = std::get_if<RangeSource>(&source)) {
    Node& fields = node.Add("range", Node::Map());
    fields.Add("start", Node::Int(range->start));
    fields.Add("end", Node::Int(range->end));
  }
  if (const auto* keys = std::get_if<KeysSource>(&source)) {
    Node& list = node.Add("keys", Node::List());
    for (const std::string& key : keys->keys) list.items.push_back(Node::String(key));
  }
  if (const auto* failures = std::get_if<FailuresOfSource>(&source)) {
    Node& fields = node.Add("failuresOf", Node::Map());
    fields.Add("name", Node::String(failures->name));
    AddText(fields, "namespace", failures->ns);
    Node& classes = fields.Add("classes", Node::List());
    for (const std::string& name : failures->classes) classes.items.push_back(Node::String(name));
  }
  if (const auto* file = std::get_if<FileSource>(&source)) {
    Node& fields = node.Add("file", Node::Map());
    fields.Add("path", Node::String(file->path));
    fields.Add("format", Node::String(std::string(ToString(file->format))));
    AddText(fields, "key", file->key);
    AddText(fields, "delimiter", file->delimiter);
    AddCredentials(fields, file->secret_headers, file->tls);
  }
  return node;
}

Node WriteHttp(const HttpTarget& http) {
  Node node = Node::Map();
  node.Add("url", Node::String(http.url));
  node.Add("method", Node::String(http.method));
  node.Add("headers", Texts(http.headers));
  node.Add("body", Node::String(http.body));
  node.Add("timeout", Node::String(http.timeout_text.empty() ? WriteDuration(http.timeout)
                                                             : http.timeout_text));
  AddCredentials(node, http.secret_headers, http.tls);
  Node& outcomes = node.Add("outcomes", Node::Map());
  outcomes.Add("updated", Codes(http.outcomes.updated));
  outcomes.Add("unchanged", Codes(http.outcomes.unchanged));
  outcomes.Add("skipped", Codes(http.outcomes.skipped));
  outcomes.Add("transient", Codes(http.outcomes.transient));
  outcomes.Add("conflict", Codes(http.outcomes.conflict));
  outcomes.Add("permanent", Codes(http.outcomes.permanent));
  if (http.dry_run) {
    Node& dry_run = node.Add("dryRun", Node::Map());
    dry_run.Add("method", Node::String(http.dry_run->method));
    dry_run.Add("url", Node::String(http.dry_run->url));
    dry_run.Add("headers", Texts(http.dry_run->headers));
    dry_run.Add("body", Node::String(http.dry_run->body));
    dry_run.Add("sideEffects", Node::String(std::string(ToString(http.dry_run->side_effects))));
  }
  return node;
}

void AddSharding(Node& spec, const std::optional<Sharding>& sharding) {
  if (!sharding) return;
  spec.Add("sharding", Node::Map()).Add("recordsPerShard", Node::Int(sharding->records_per_shard));
}

Node WriteProgress(const ProgressStatus& progress) {
  Node node = Node::Map();
  node.Add("records", Node::Int(progress.records));
  node.Add("updated", Node::Int(progress.updated));
  node.Add("unchanged", Node::Int(progress.unchanged));
  node.Add("skipped", Node::Int(progress.skipped));
  node.Add("failed", Node::Int(progress.failed));
  node.Add("shardsDone", Node::Int(progress.shards_done));
  AddText(node, "ratio", progress.ratio);
  if (progress.redone_at_most > 0) node.Add("redoneAtMost", Node::Int(progress.redone_at_most));
  return node;
}

Node WriteCondition(const Condition& condition) {
  Node node = Node::Map();
  node.Add("type", Node::String(condition.type));
  node.Add("status", Node::String(std::string(ToString(condition.status))));
  AddText(node, "reason", condition.reason);
  AddText(node, "message", condition.message);
  node.Add("observedGeneration", Node::Int(condition.observed_generation));
  AddText(node, "lastTransitionTime", condition.last_transition_time);
  return node;
}

Node WriteMetadata(const Backfill& backfill) {
  Node node = Node::Map();
  node.Add("name", Node::String(backfill.name));
  AddText(node, "namespace", backfill.ns);
  AddText(node, "uid", backfill.uid);
  AddText(node, "resourceVersion", backfill.resource_version);
  if (backfill.generation > 0) node.Add("generation", Node::Int(backfill.generation));
  AddText(node, "creationTimestamp", backfill.creation_time);
  AddText(node, "deletionTimestamp", backfill.deletion_time);
  if (!backfill.finalizers.empty()) {
    Node& finalizers = node.Add("finalizers", Node::List());
    for (const std::string& name : backfill.finalizers) {
      finalizers.items.push_back(Node::String(name));
    }
  }
  if (!backfill.labels.empty()) node.Add("labels", Texts(backfill.labels));
  if (!backfill.annotations.empty()) node.Add("annotations", Texts(backfill.annotations));
  return node;
}

void SortCodes(HttpOutcomes& outcomes) {
  for (auto* codes : {&outcomes.updated, &outcomes.unchanged, &outcomes.skipped,
                      &outcomes.transient, &outcomes.conflict, &outcomes.permanent}) {
    std::ranges::sort(*codes);
  }
}

}  // namespace

Node WriteSpec(const Spec& spec) {
  Node node = Node::Map();
  node.Add("description", Node::String(spec.description));
  AddPeople(node, spec.owner, spec.stakeholders);
  node.Add("source", WriteSource(spec.source));
  node.Add("target", Node::Map()).Add("http", WriteHttp(spec.target));
  AddSharding(node, spec.sharding);
  Node& workers = node.Add("workers", Node::Map());
  workers.Add("replicas", Node::Int(spec.workers.replicas));
  workers.Add("concurrency", Node::Int(spec.workers.concurrency));
  workers.Add("batchSize", Node::Int(spec.workers.batch_size));
  if (!spec.workers.pod_template.empty()) {
    // It was JSON when it was read; whoever wrote anything else into the type loses it.
    if (auto pods = ParseJsonObject(spec.workers.pod_template); pods.ok())
      workers.Add("template", std::move(pods).value());
  }
  node.Add("dryRun", Node::Bool(spec.dry_run));
  node.Add("performDisruptiveBackfill", Node::String(spec.perform_disruptive_backfill));
  node.Add("paused", Node::Bool(spec.paused));
  node.Add("throttle", WriteThrottle(spec.throttle));
  if (spec.schedule) node.Add("schedule", WriteSchedule(*spec.schedule));
  Node& policy = node.Add("failurePolicy", Node::Map());
  policy.Add("attempts", Node::Int(spec.failure_policy.attempts));
  policy.Add("maxFailedRecords", Node::Int(spec.failure_policy.max_failed_records));
  policy.Add("maxFailedPercent", Node::String(spec.failure_policy.max_failed_percent));
  policy.Add("onExceeded", Node::String(std::string(ToString(spec.failure_policy.on_exceeded))));
  return node;
}

Node WriteStatus(const Status& status) {
  Node node = Node::Map();
  node.Add("observedGeneration", Node::Int(status.observed_generation));
  if (status.phase) node.Add("phase", Node::String(std::string(ToString(*status.phase))));
  if (status.plan) {
    Node& plan = node.Add("plan", Node::Map());
    plan.Add("hash", Node::String(status.plan->hash));
    plan.Add("shards", Node::Int(status.plan->shards));
    plan.Add("records", Node::Int(status.plan->records));
    plan.Add("time", Node::String(status.plan->time));
    AddText(plan, "workerImage", status.plan->worker_image);
    if (status.plan->bad_records > 0) plan.Add("badRecords", Node::Int(status.plan->bad_records));
    if (status.plan->duplicate_keys > 0)
      plan.Add("duplicateKeys", Node::Int(status.plan->duplicate_keys));
    if (status.plan->duplicates_estimated) plan.Add("duplicatesEstimated", Node::Bool(true));
  }
  if (status.dry_run) node.Add("dryRun", WriteProgress(*status.dry_run));
  if (status.progress) node.Add("progress", WriteProgress(*status.progress));
  if (status.rate) {
    Node& rate = node.Add("rate", Node::Map());
    rate.Add("current", Rate(status.rate->current));
    rate.Add("limit", Rate(status.rate->limit));
    AddText(rate, "limitedBy", status.rate->limited_by);
  }
  if (status.throttle) node.Add("throttle", WriteThrottleStatus(*status.throttle));
  AddText(node, "eta", status.eta);
  if (status.workers) {
    Node& workers = node.Add("workers", Node::Map());
    workers.Add("desired", Node::Int(status.workers->desired));
    workers.Add("connected", Node::Int(status.workers->connected));
  }
  AddText(node, "report", status.report);
  if (status.display != DisplayStatus{}) {
    Node& display = node.Add("display", Node::Map());
    AddText(display, "progress", status.display.progress);
    AddText(display, "rate", status.display.rate);
    AddText(display, "shards", status.display.shards);
    AddText(display, "workers", status.display.workers);
    AddText(display, "plan", status.display.plan);
  }
  if (!status.conditions.empty()) {
    Node& conditions = node.Add("conditions", Node::List());
    for (const Condition& condition : status.conditions) {
      conditions.items.push_back(WriteCondition(condition));
    }
  }
  return node;
}

Node WriteBackfill(const Backfill& backfill) {
  Node node = Node::Map();
  node.Add("apiVersion", Node::String(BackfillCrd().api_version));
  node.Add("kind", Node::String(BackfillCrd().kind));
  node.Add("metadata", WriteMetadata(backfill));
  node.Add("spec", WriteSpec(backfill.spec));
  if (backfill.status != Status{}) node.Add("status", WriteStatus(backfill.status));
  return node;
}

Node WriteWork(const Spec& spec) {
  HttpTarget http = spec.target;
  SortCodes(http.outcomes);  // lists of codes are sets
  http.timeout_text.clear();
  Source source = spec.source;
  if (auto* file = std::get_if<FileSource>(&source)) {
    // What is in the file is told by the plan's extents; where it lies, and who may read it,
    // differs between machines.
    file->path.clear();
    file->secret_headers.clear();
    file->tls.reset();
    if (file->format == FileFormat::kCsv && file->delimiter.empty()) file->delimiter.assign(1, ',');
  }
  Node node = Node::Map();
  Node& written = node.Add("source", WriteSource(source));
  const auto* keys = std::get_if<KeysSource>(&spec.source);
  if (keys != nullptr && keys->numeric) written.Add("numeric", Node::Bool(true));
  node.Add("target", Node::Map()).Add("http", WriteHttp(http));
  AddSharding(node, spec.sharding);
  return node;
}

std::string WriteDuration(std::chrono::milliseconds duration) {
  const std::int64_t ms = duration.count();
  if (ms == 0) return "0s";
  if (ms % 3'600'000 == 0) return std::to_string(ms / 3'600'000) + "h";
  if (ms % 60'000 == 0) return std::to_string(ms / 60'000) + "m";
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + "s";
  return std::to_string(ms) + "ms";
}

std::string_view ToString(FileFormat format) {
  switch (format) {
    case FileFormat::kLines:
      return "Lines";
    case FileFormat::kCsv:
      return "Csv";
    case FileFormat::kNdJson:
      return "NdJson";
  }
  return "";
}

std::string_view ToString(SideEffects effects) {
  switch (effects) {
    case SideEffects::kUnknown:
      return "Unknown";
    case SideEffects::kNone:
      return "None";
  }
  return "";
}

std::string_view ToString(SecretEncoding encoding) {
  switch (encoding) {
    case SecretEncoding::kNone:
      return "None";
    case SecretEncoding::kBase64:
      return "Base64";
  }
  return "";
}

std::string_view ToString(OnExceeded reaction) {
  switch (reaction) {
    case OnExceeded::kPause:
      return "Pause";
    case OnExceeded::kFail:
      return "Fail";
  }
  return "";
}

}  // namespace backfill::api
