#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "operator/api/throttle.h"

// The Backfill resource as C++ types. Decoded, defaulted and validated values only: what stands
// here obeys the schema (crds/backfill.dev_backfills.yaml) and its rules. Names and meaning:
// docs/concepts.md.
namespace backfill::api {

struct RangeSource {
  std::int64_t start = 0;
  std::int64_t end = 0;
  bool operator==(const RangeSource&) const = default;
};
struct KeysSource {
  std::vector<std::string> keys;
  // Whole numbers, as JSON writes them. Of records that failed in a range; no file says so.
  bool numeric = false;
  bool operator==(const KeysSource&) const = default;
};
// Records that failed in another Backfill. What is planned and run are the keys that it means.
struct FailuresOfSource {
  std::string name;
  std::string ns;                    // empty: the own one
  std::vector<std::string> classes;  // as ledger::ToString(FailureClass); empty: all
  bool operator==(const FailuresOfSource&) const = default;
};

// Of FailuresOfSource; what the failure log can hold.
inline constexpr std::size_t kMaxRetriedKeys = 100'000;
enum class FileFormat { kLines, kCsv, kNdJson };

// Paths of PEM files on the machine of the workers; each may be empty. For https only.
struct HttpTls {
  std::string ca_file;              // absent: the system's authorities
  std::string cert_file, key_file;  // both or none
  std::string server_name;          // absent: the host of the url
  bool operator==(const HttpTls&) const = default;
};

enum class SecretEncoding { kNone, kBase64 };

// A header whose value the workers read, each on its own machine. The value is never here.
struct SecretHeader {
  std::string name;
  std::string prefix;
  std::string file, env;  // where the value stands: one of them
  SecretEncoding encode = SecretEncoding::kNone;
  bool operator==(const SecretHeader&) const = default;
};

struct FileSource {
  std::string path;  // absolute, or an http(s) URL, once it is stored by the command line
  FileFormat format = FileFormat::kLines;
  std::string key;        // column or member; empty for kLines
  std::string delimiter;  // one character; empty: not given, which for kCsv means a comma
  // Of a URL.
  std::vector<SecretHeader> secret_headers = {};
  std::optional<HttpTls> tls = std::nullopt;
  bool operator==(const FileSource&) const = default;
};
using Source = std::variant<RangeSource, KeysSource, FailuresOfSource, FileSource>;

// Status codes that differ from the default mapping to outcomes.
struct HttpOutcomes {
  std::vector<int> updated, unchanged, skipped, transient, conflict, permanent;
  bool operator==(const HttpOutcomes&) const = default;
};

enum class SideEffects { kUnknown, kNone };

// A request of the dry run's own: GET or HEAD, or declared without side effects.
struct HttpDryRun {
  std::string method = "GET";
  std::string url;
  std::map<std::string, std::string> headers;
  std::string body;
  SideEffects side_effects = SideEffects::kUnknown;
  bool operator==(const HttpDryRun&) const = default;
};

struct HttpTarget {
  std::string url;
  std::string method = "POST";
  std::map<std::string, std::string> headers;
  std::string body;
  std::chrono::milliseconds timeout{5000};
  // As written, where that is not the shortest way to write it: an API server compares texts.
  std::string timeout_text;
  // Both also of the dry run's own request.
  std::vector<SecretHeader> secret_headers = {};
  std::optional<HttpTls> tls = std::nullopt;
  HttpOutcomes outcomes;
  std::optional<HttpDryRun> dry_run;
  bool operator==(const HttpTarget&) const = default;
};

struct Sharding {
  std::int64_t records_per_shard = 0;
  bool operator==(const Sharding&) const = default;
};

struct Workers {
  int replicas = 2;
  int concurrency = 16;
  int batch_size = 1;
  // What the pods of a cluster's workers have besides: a PodTemplateSpec as JSON in one line,
  // members sorted. Empty: nothing.
  std::string pod_template = {};
  bool operator==(const Workers&) const = default;
};

enum class OnExceeded { kPause, kFail };

struct FailurePolicy {
  int attempts = 5;
  std::int64_t max_failed_records = 1000;
  std::string max_failed_percent = "0.1";  // decimal; of the planned records
  OnExceeded on_exceeded = OnExceeded::kPause;
  bool operator==(const FailurePolicy&) const = default;
};

// Who answers for a backfill, and who feels it. Nothing is decided by them.
struct Owner {
  std::string team, contact, runbook;
  bool operator==(const Owner&) const = default;
};
struct Stakeholder {
  std::string name, contact, impact;
  bool operator==(const Stakeholder&) const = default;
};

struct Spec {
  std::string description;
  std::optional<Owner> owner;
  std::vector<Stakeholder> stakeholders;
  Source source;
  HttpTarget target;
  std::optional<Sharding> sharding;
  Workers workers;
  bool dry_run = true;
  std::string perform_disruptive_backfill;
  bool paused = false;
  Throttle throttle;
  std::optional<Schedule> schedule;
  FailurePolicy failure_policy;
  bool operator==(const Spec&) const = default;
};

enum class Phase {
  kPending,
  kPlanning,
  kDryRunning,
  kAwaitingApproval,
  kRunning,
  kPaused,
  kCompleted,
  kFailed,
  kCancelled,  // deleted before its end
};

enum class ConditionStatus { kTrue, kFalse, kUnknown };

struct Condition {
  std::string type;
  ConditionStatus status = ConditionStatus::kUnknown;
  std::string reason;
  std::string message;  // at most 160 bytes
  std::int64_t observed_generation = 0;
  std::string last_transition_time;  // RFC 3339; moves with `status` only
  bool operator==(const Condition&) const = default;
};

struct PlanStatus {
  std::string hash;  // "sha256:" + 64 hex digits
  std::int64_t shards = 0;
  std::uint64_t records = 0;
  std::string time;
  std::string worker_image = {};  // of pods; empty where workers are processes
  // Of a file: rows that fail without being sent, and rows whose key an earlier one has.
  std::uint64_t bad_records = 0;
  std::uint64_t duplicate_keys = 0;
  bool duplicates_estimated = false;
  bool operator==(const PlanStatus&) const = default;
};

struct ProgressStatus {
  std::uint64_t records = 0;  // with an outcome; at the end equal to plan.records
  std::uint64_t updated = 0, unchanged = 0, skipped = 0, failed = 0;
  std::int64_t shards_done = 0;
  std::string ratio;                 // "0.624"
  std::uint64_t redone_at_most = 0;  // records that may have been sent twice, after lost workers
  bool operator==(const ProgressStatus&) const = default;
};

struct RateStatus {
  double current = 0;  // attempts per second
  double limit = 0;
  std::string limited_by;  // Max, Workers, Pause, ...
  bool operator==(const RateStatus&) const = default;
};

struct WorkersStatus {
  int desired = 0;
  int connected = 0;
  bool operator==(const WorkersStatus&) const = default;
};

// Preformatted for kubectl's columns.
struct DisplayStatus {
  std::string progress, rate, shards, workers, plan;
  bool operator==(const DisplayStatus&) const = default;
};

struct Status {
  std::int64_t observed_generation = -1;
  std::optional<Phase> phase;
  std::optional<PlanStatus> plan;
  std::optional<ProgressStatus> dry_run;  // the result of the dry run, once there is one
  std::optional<ProgressStatus> progress;
  std::optional<RateStatus> rate;
  std::optional<ThrottleStatus> throttle;
  std::string eta;  // RFC 3339, or empty
  std::optional<WorkersStatus> workers;
  std::string report;  // name of the report's ConfigMap
  DisplayStatus display;
  std::vector<Condition> conditions;
  bool operator==(const Status&) const = default;
};

struct Backfill {
  std::string name;
  std::string ns;
  std::string uid;               // empty before it is stored
  std::string resource_version;  // likewise
  std::int64_t generation = 0;
  std::string creation_time;
  std::string deletion_time;            // RFC 3339; empty unless it is being deleted
  std::vector<std::string> finalizers;  // who has to let it go before it is gone
  std::map<std::string, std::string> annotations;
  std::map<std::string, std::string> labels;
  Spec spec;
  Status status;

  [[nodiscard]] bool deleting() const { return !deletion_time.empty(); }
};

inline constexpr char kPausedAnnotation[] = "backfill.dev/paused";
// spec.throttle.override as JSON; the lower of both applies.
inline constexpr char kOverrideAnnotation[] = "backfill.dev/throttle-override";
// "true": a deletion does not wait for workers.
inline constexpr char kForceDeleteAnnotation[] = "backfill.dev/force-delete";
// A new value: what failed is tried at once.
inline constexpr char kReconcileAtAnnotation[] = "backfill.dev/reconcile-at";
// On a cluster a deleted Backfill stays until its workers are gone.
inline constexpr char kDrainFinalizer[] = "backfill.dev/drain-workers";

}  // namespace backfill::api
