#include "operator/app/crd_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <condition_variable>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "operator/kube/api_store_objects.h"
#include "operator/kube/client/schema_check.h"

namespace backfill::app {
namespace {

constexpr Duration kPasses = std::chrono::seconds(30);

// Everything that is written and that somebody relies on.
const std::vector<std::string>& BackfillFields() {
  static const std::vector<std::string> kFields{
      "status.observedGeneration",
      "status.phase",
      "status.plan.hash",
      "status.plan.shards",
      "status.plan.records",
      "status.plan.workerImage",
      "status.dryRun",
      "status.progress.records",
      "status.progress.failed",
      "status.progress.shardsDone",
      "status.rate",
      "status.workers",
      "status.report",
      "status.display",
      "status.conditions.type",
      "status.conditions.status",
      "status.conditions.reason",
      "status.conditions.message",
      "status.conditions.observedGeneration",
      "status.conditions.lastTransitionTime",
  };
  return kFields;
}

const std::vector<std::string>& LedgerFields() {
  static const std::vector<std::string> kFields{"epoch", "seq", "chunks", "writer", "data"};
  return kFields;
}

Status CheckOne(const std::string& document, std::string_view kind,
                const std::vector<std::string>& fields) {
  const auto missing = TRY(kube::MissingFields(document, kube::FindStoredKind(kind)->type, fields));
  if (missing.empty()) return Ok{};
  return Error{ErrorCode::kInvalid,
               fmt::format("CRDOutdated: the CRD of {} on the server lacks {}; upgrade the CRDs, "
                           "nothing is written until then",
                           kind, fmt::join(missing, ", "))};
}

}  // namespace

Status CheckCrds(const kube::ApiClient& api, const kube::CallLimits& limits) {
  constexpr std::size_t kMaxDocument = std::size_t{8} << 20;
  kube::HttpRequest request{
      .target = kube::OpenApiPath(kube::FindStoredKind(kube::kBackfillKind)->type),
      .max_response_bytes = kMaxDocument};
  const auto document = api.Call(std::move(request), "reading the schema of backfill.dev", limits);
  if (!document.ok()) return document.error().ToError();
  TRY(CheckOne(*document, kube::kBackfillKind, BackfillFields()));
  return CheckOne(*document, kube::kLedgerKind, LedgerFields());
}

LogLevel LevelOf(const Error& problem, Duration lasted) {
  if (problem.code == ErrorCode::kInvalid) return LogLevel::kError;
  return lasted < kPasses ? LogLevel::kInfo : LogLevel::kWarning;
}

CrdGate::CrdGate(const kube::ApiClient& api, const Clock& clock, Duration period)
    : api_(api), clock_(clock), period_(period) {}

void CrdGate::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void CrdGate::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void CrdGate::Run(const std::stop_token& stop) {
  std::string said;
  std::optional<Time> since;  // there has been a problem
  Mutex mu;
  std::condition_variable_any never;
  while (!stop.stop_requested()) {
    const Time now = clock_.Steady();
    const Status found =
        CheckCrds(api_, {.deadline = now + std::chrono::seconds(10), .stop = stop});
    outdated_ = !found.ok() && found.error().code == ErrorCode::kInvalid;
    if (found.ok()) {
      open_.store(true, std::memory_order_release);
      return;
    }
    if (!since) since = now;
    const LogLevel level = LevelOf(found.error(), now - *since);
    const std::string what = std::to_string(static_cast<int>(level)) + found.error().message;
    if (what != said && !stop.stop_requested()) {
      said = what;
      Log(level, "nothing is done before the CRDs are in order",
          {{"problem", found.error().message}});
    }
    MutexLock l(mu);
    never.wait_until(mu, stop, now + period_, [] { return false; });
  }
}

}  // namespace backfill::app
