#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// spec.throttle and spec.schedule, and what status says of them. As in the file: durations,
// decimals and times are the checked texts, so that what is stored is what was written. What they
// mean to the governor: operator/reconcile/throttle_options.h.
namespace backfill::api {

enum class ThrottleMode { kEnforce, kObserve };
enum class AtFloor { kYield, kKeep };
enum class OnMissing { kHold, kFloor, kFreeze, kIgnore };
enum class OnNoTraffic { kMissing, kZero, kProbe };
enum class BudgetScope { kGlobal, kPartition };
enum class Reduce { kNone, kMax, kMin, kSum, kAvg };
// What kind of metric it is; what that means: budget_presets.h.
enum class Preset { kLatencyP99, kHttpErrorRatio, kUtilization, kKafkaLag, kReplicaLag };
enum class OnCritical { kHold, kPause };
enum class ScrapeAs { kValue, kRate, kQuantile };
enum class WorkerSignal { kErrorRatio, kLatencyP99 };

struct PrometheusMetric {
  std::string address, query, freshness_query, credentials;
  std::string timeout = "5s";
  bool operator==(const PrometheusMetric&) const = default;
};
struct ScrapeMetric {
  std::string url, series;
  ScrapeAs as = ScrapeAs::kValue;
  std::string quantile;  // empty: not given
  std::string credentials;
  std::string timeout = "5s";
  bool operator==(const ScrapeMetric&) const = default;
};
struct HttpMetric {
  std::string url, pointer, credentials;
  std::string timeout = "5s";
  bool operator==(const HttpMetric&) const = default;
};
struct WorkersMetric {
  WorkerSignal signal = WorkerSignal::kErrorRatio;
  std::string window = "30s";
  bool operator==(const WorkersMetric&) const = default;
};

struct BudgetTiming {
  std::string interval = "10s";
  std::string window;  // empty: not given
  std::string scrape_interval = "15s";
  std::string delay = "5s";
  std::string stale_after;  // empty: not given
  bool operator==(const BudgetTiming&) const = default;
};

// A bound on a metric. Exactly one of the four metrics, exactly one of max and min. As in the file:
// Filled() of budget_presets.h says what holds where nothing is said.
struct Budget {
  std::string name;
  std::optional<Preset> preset;
  std::optional<PrometheusMetric> prometheus;
  std::optional<ScrapeMetric> scrape;
  std::optional<HttpMetric> http;
  std::optional<WorkersMetric> workers;
  std::string max, min;         // decimals; empty: not given
  std::string critical, ideal;  // likewise
  std::string target;           // likewise
  bool required = true;
  bool enforce = true;
  BudgetScope scope = BudgetScope::kGlobal;
  std::string partition_label;  // of kPartition
  BudgetTiming timing;
  OnMissing on_missing = OnMissing::kHold;
  std::optional<OnNoTraffic> on_no_traffic;
  std::optional<Reduce> reduce;
  bool operator==(const Budget&) const = default;
};

struct HoldPolicy {
  OnCritical on_critical = OnCritical::kHold;
  int confirmations = 2;
  std::string duration = "60s";
  std::string max_duration = "30m";
  int good_samples = 3;
  std::string resume_factor = "0.25";
  int pause_after = 5;
  bool operator==(const HoldPolicy&) const = default;
};

struct MissingPolicy {
  std::string land_every = "30s";
  std::string after = "5m";
  bool operator==(const MissingPolicy&) const = default;
};

// Of workers' inner loops.
struct WorkerThrottle {
  bool latency_backoff = true;
  std::string latency_headroom = "1.25";  // decimal
  int retry_budget_percent = 10;
  bool operator==(const WorkerThrottle&) const = default;
};

struct GrantTimes {
  std::string ttl = "30s";
  std::string refresh = "5s";
  bool operator==(const GrantTimes&) const = default;
};

enum class OverrideType { kCap, kPin };

struct Override {
  OverrideType type = OverrideType::kCap;
  std::int64_t records_per_second = 0;
  std::string until;  // RFC 3339
  std::string reason;
  bool break_glass = false;  // of a Pin: passes holds, too
  bool operator==(const Override&) const = default;
};

// The Backfills of a namespace with one name of a group have one governor.
struct ThrottleGroup {
  std::string name;
  int weight = 1;
  bool operator==(const ThrottleGroup&) const = default;
};

struct Throttle {
  ThrottleMode mode = ThrottleMode::kEnforce;
  std::optional<std::int64_t> max_records_per_second;  // required for a real run
  std::int64_t min_records_per_second = 1;
  std::optional<std::int64_t> initial_records_per_second;
  AtFloor at_floor = AtFloor::kYield;
  std::string dead_time;     // empty: computed
  std::string partition_by;  // a template; empty: the target has no partitions
  std::vector<Budget> budgets;
  HoldPolicy hold;
  MissingPolicy missing;
  WorkerThrottle worker;
  GrantTimes grants;
  std::optional<Override> override;
  std::optional<ThrottleGroup> group;
  bool operator==(const Throttle&) const = default;
};

enum class OutsideAction { kPause, kCap };

struct Window {
  std::vector<std::string> days;  // Mon, ...
  std::string from, to;           // "22:00"
  std::optional<std::int64_t> max_records_per_second;
  bool operator==(const Window&) const = default;
};
struct Outside {
  OutsideAction action = OutsideAction::kPause;
  std::optional<std::int64_t> max_records_per_second;  // of kCap
  bool operator==(const Outside&) const = default;
};
struct Blackout {
  std::string from, to;  // RFC 3339
  std::string reason;
  bool operator==(const Blackout&) const = default;
};
struct Schedule {
  std::string time_zone = "UTC";
  std::vector<Window> windows;
  std::optional<Outside> outside;
  std::vector<Blackout> blackouts;
  bool operator==(const Schedule&) const = default;
};

// ---- of the status

struct BudgetStatus {
  std::string name;
  std::optional<double> value, pressure;
  std::string state;
  std::optional<std::int64_t> age;  // seconds
  bool operator==(const BudgetStatus&) const = default;
};

// The partition of the target that may be sent the least.
struct PartitionStatus {
  std::string name;
  std::optional<double> rate;  // records/s
  bool hot = false;            // has been far below the others for long
  bool operator==(const PartitionStatus&) const = default;
};

// Of an account of what a governor did: from `time` on it was in this state.
struct ThrottleChange {
  std::string time;  // RFC 3339
  std::string state, limited_by;
  std::string budget;  // that bound; empty: none
  std::string reason;
  double rate = 0;  // records/s
  bool operator==(const ThrottleChange&) const = default;
};

inline constexpr std::size_t kMaxShownBudgets = 5;

struct ThrottleStatus {
  std::string state;
  std::string since;  // RFC 3339
  std::string reason;
  std::string next_change;  // RFC 3339; of the schedule
  std::string binding_budget;
  std::optional<double> pressure;
  std::vector<BudgetStatus> budgets;  // at most kMaxShownBudgets
  // What the governor goes on from under another operator.
  std::optional<double> rate, last_good_rate, ceiling;
  int holds = 0;
  std::optional<double> rate_before_hold;
  std::string held_since, last_critical_time;
  // Of overrides with breakGlass: `until` of the one in force, and of the one that was refused.
  std::string glass_broken_until, glass_refused_until;
  std::optional<PartitionStatus> slowest_partition = std::nullopt;
  bool operator==(const ThrottleStatus&) const = default;
};

}  // namespace backfill::api
