#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

// What can be asked of whom. Pure.
namespace backfill::observe {

using namespace std::chrono_literals;

// Several series make one number only if the user has said how.
enum class Reduce { kNone, kMax, kMin, kSum, kAvg };

// An instant query. Several addresses are replicas of one Prometheus, tried in turn.
struct PrometheusQuery {
  std::vector<std::string> addresses = {};  // http://prometheus:9090, with or without a path
  std::string query = {};
  // Its value is the time of the sample in seconds since the epoch, as of timestamp(). Empty: the
  // value is as fresh as the answer.
  std::string freshness_query = {};
  std::string credentials = {};  // a name, see MountedCredentials; empty: none
  Duration timeout = 5s;
  Reduce reduce = Reduce::kNone;
  // Its values tell the partitions of the target apart, one series each: not one number is wanted,
  // but one for each. Empty: there are none. `reduce` then says which of them stands for all.
  std::string partition_label = {};
  bool operator==(const PrometheusQuery&) const = default;
};

enum class ScrapeAs { kValue, kRate, kQuantile };

// What the target itself says on its /metrics.
struct ScrapeQuery {
  std::string url = {};
  std::string series = {};  // name{label="value",other!="value"}
  ScrapeAs as = ScrapeAs::kValue;
  double quantile = 0.99;  // kQuantile: of the histogram with that name
  Duration window = 60s;   // kRate, kQuantile: growth is measured over so long
  std::string credentials = {};
  Duration timeout = 5s;
  Reduce reduce = Reduce::kNone;
  bool operator==(const ScrapeQuery&) const = default;
};

// A number in a JSON document.
struct JsonQuery {
  std::string url = {};
  std::string pointer = {};  // RFC 6901: /status/lag_seconds; empty: the whole document
  std::string credentials = {};
  Duration timeout = 5s;
  bool operator==(const JsonQuery&) const = default;
};

enum class WorkerSignal { kErrorRatio, kLatencyP99 };

// What the workers of a backfill have measured themselves.
struct WorkersQuery {
  std::string owner = {};  // whose workers, as in SignalBoard
  WorkerSignal signal = WorkerSignal::kErrorRatio;
  Duration window = 30s;
  bool operator==(const WorkersQuery&) const = default;
};

using Query = std::variant<PrometheusQuery, ScrapeQuery, JsonQuery, WorkersQuery>;

// kInvalid, in words for the user: what is wrong, and what to write. Where it stands the caller
// says.
Status Check(const Query& query);

// Queries with equal keys are one question.
std::string KeyOf(const Query& query);
// Who answers: questions with equal ones fail together.
std::string ProviderOf(const Query& query);
Duration TimeoutOf(const Query& query);
// The question in a few words, for people.
std::string ShownQuery(const Query& query, std::size_t bytes = 80);

std::string_view ToString(Reduce reduce);

// The number that several make; nothing else than finite ones may be among them, and `values` is
// not empty. kNone is not asked for.
double Reduced(Reduce reduce, const std::vector<double>& values);

// http://host:8080/metrics?x=1 taken apart into what RestTransport wants.
struct SplitUrl {
  std::string server;  // http://host:8080
  std::string target;  // /metrics?x=1
};
Result<SplitUrl> Split(std::string_view url);

}  // namespace backfill::observe
