#include "operator/certificates/ca_publisher.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/log.h"
#include "operator/kube/client/json_fields.h"

namespace backfill::certificates {
namespace {

using kube::ApiErrorKind;
using nlohmann::json;

constexpr std::string_view kManagedBy = "app.kubernetes.io/managed-by";
constexpr std::string_view kOurs = "backfill-operator";
constexpr int kTries = 5;  // R25
constexpr Duration kFirstRefreshWait = std::chrono::seconds(1);

struct CaConfigMap final : kube::ApiObject {
  std::string bundle;
  std::string object;  // all of it, so that a write keeps what others have put there
};

Result<kube::ApiObjectPtr> DecodeCaConfigMap(const json& object) {
  auto map = std::make_shared<CaConfigMap>();
  map->meta = TRY(kube::DecodeMeta(object));
  std::string problem;
  map->bundle = kube::JsonFields(object, "", problem).Object("data").String(kCaKey.data());
  if (!problem.empty()) return Error{ErrorCode::kInvalid, problem};
  map->object = object.dump(-1, ' ', false, json::error_handler_t::replace);
  return kube::ApiObjectPtr(std::move(map));
}

const kube::Resource kCaConfigMaps{
    .type = {.group = "", .version = "v1", .plural = "configmaps", .kind = "ConfigMap"},
    .decode = &DecodeCaConfigMap};

std::string NewObject(const std::string& ns, const std::string& bundle) {
  const json object = {
      {"apiVersion", "v1"},
      {"kind", "ConfigMap"},
      {"metadata",
       {{"name", kCaConfigMap},
        {"namespace", ns},
        {"labels", {{kManagedBy, kOurs}, {"app.kubernetes.io/part-of", "backfill"}}}}},
      {"data", {{kCaKey, bundle}}}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string ObjectWith(const CaConfigMap& map, const std::string& bundle) {
  Result<json> parsed = kube::ParseJson(map.object);
  json object = parsed.ok() && parsed->is_object() ? *std::move(parsed) : json::object();
  object["apiVersion"] = "v1";
  object["kind"] = "ConfigMap";
  if (!object["data"].is_object()) object["data"] = json::object();
  object["data"][kCaKey] = bundle;
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

template <typename Known>
bool Has(const Known& known, const std::string& bundle) {
  return known.has != nullptr && *known.has == bundle;
}

bool IsOurs(const kube::ApiObject& map) {
  const auto label = map.meta.labels.find(std::string(kManagedBy));
  return label != map.meta.labels.end() && label->second == kOurs;
}

}  // namespace

CaPublisher::CaPublisher(const kube::ApiClient& api, const Clock& clock, const CaBundle& bundle,
                         const coordinator::Leadership& leadership, CaPublisherOptions options)
    : api_(api),
      clock_(clock),
      source_(bundle),
      leadership_(leadership),
      options_(std::move(options)) {}

void CaPublisher::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      Refresh(stop);
      options_.wait(clock_.Steady() + options_.refresh_every, stop);
    }
  });
  pthread_setname_np(thread_.native_handle(), "bf-ca-publish");
}

void CaPublisher::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Status CaPublisher::Publish(const std::string& ns, const std::stop_token& stop) {
  const BundlePtr bundle = source_.Bundle();
  if (bundle == nullptr)
    return Error{ErrorCode::kUnavailable, "the operator has no certificate authority yet"};
  bool has_it = false;
  {
    const Time now = clock_.Steady();
    MutexLock l(mu_);
    const auto known = known_.find(ns);
    has_it = known != known_.end() && Has(known->second, *bundle);
    if (has_it &&
        (now - known->second.looked_at < options_.look_again || now < known->second.try_at))
      return Ok{};
  }
  const Status brought = Bring(ns, bundle, stop);
  // It was there when it was last looked for: an API server that is away must not stop workers that
  // run.
  const bool away = !brought.ok() && (brought.error().code == ErrorCode::kUnavailable ||
                                      brought.error().code == ErrorCode::kDeadline);
  if (has_it && away) return Ok{};
  return brought;
}

Status CaPublisher::Bring(const std::string& ns, const BundlePtr& bundle,
                          const std::stop_token& stop) {
  for (int i = 0; i < kTries; ++i) {
    const Result<Outcome> outcome = TryOnce(ns, *bundle, stop);
    if (!outcome.ok()) {
      const Error error = outcome.error().Annotate(
          fmt::format("publishing the certificate authority in namespace {}", ns));
      RememberFailure(ns, error);
      return error;
    }
    if (*outcome == Outcome::kTryAgain) continue;
    Remember(ns, bundle, *outcome);
    return Ok{};
  }
  const Error error{ErrorCode::kUnavailable,
                    fmt::format("ConfigMap {}/{} changes too often", ns, kCaConfigMap)};
  RememberFailure(ns, error);
  return error;
}

Result<CaPublisher::Outcome> CaPublisher::TryOnce(const std::string& ns, const std::string& bundle,
                                                  const std::stop_token& stop) {
  if (!leadership_.Valid(clock_.Steady()))
    return Error{ErrorCode::kAborted, "this process does not lead"};
  const kube::CallLimits limits{.deadline = clock_.Steady() + options_.call_timeout, .stop = stop};
  const kube::ObjectKey key{.ns = ns, .name = std::string(kCaConfigMap)};
  const auto found = api_.Get(kCaConfigMaps, key, limits);
  if (!found.ok()) {
    if (found.error().kind != ApiErrorKind::kNotFound) return found.error().ToError();
    const auto made = api_.Create(kCaConfigMaps, ns, NewObject(ns, bundle), limits);
    if (made.ok()) return Outcome::kMade;
    if (made.error().kind == ApiErrorKind::kAlreadyExists) return Outcome::kTryAgain;
    return made.error().ToError();
  }
  const auto& map = static_cast<const CaConfigMap&>(**found);
  if (!IsOurs(map)) {
    return Error{ErrorCode::kConflict,
                 fmt::format("ConfigMap {} exists and is not the operator's (label {}: {}); "
                             "rename or delete it",
                             kCaConfigMap, kManagedBy, kOurs)};
  }
  if (map.bundle == bundle) return Outcome::kWasThere;  // R28: no write that changes nothing
  const auto changed = api_.Update(kCaConfigMaps, key, ObjectWith(map, bundle), limits);
  if (changed.ok()) return Outcome::kChanged;
  // Gone in between, or another version.
  if (changed.error().kind == ApiErrorKind::kConflict ||
      changed.error().kind == ApiErrorKind::kNotFound)
    return Outcome::kTryAgain;
  return changed.error().ToError();
}

void CaPublisher::Remember(const std::string& ns, const BundlePtr& bundle, Outcome outcome) {
  const Time now = clock_.Steady();
  MutexLock l(mu_);
  auto known = known_.find(ns);
  if (known == known_.end()) {
    if (known_.size() >= options_.max_namespaces) return;
    known = known_.try_emplace(ns).first;
  }
  Known& it = known->second;
  const bool had_it = Has(it, *bundle);
  // Who had it before this process looked may have got it a moment ago.
  if (outcome == Outcome::kChanged || (outcome == Outcome::kWasThere && !had_it))
    it.changed_at = now;
  if (outcome == Outcome::kMade) it.changed_at.reset();  // no pod has started without it
  it.has = bundle;
  it.looked_at = now;
  it.wait = Duration{0};
}

void CaPublisher::RememberFailure(const std::string& ns, const Error& error) {
  const Time now = clock_.Steady();
  MutexLock l(mu_);
  const auto known = known_.find(ns);
  if (known == known_.end()) return;
  if (error.code == ErrorCode::kNotFound) {  // the namespace has gone
    known_.erase(known);
    return;
  }
  Known& it = known->second;
  it.wait = std::clamp(it.wait * 2, kFirstRefreshWait, options_.longest_wait);
  it.try_at = now + it.wait;
}

std::optional<Duration> CaPublisher::PublishedFor(const std::string& bundle) const {
  const Time now = clock_.Steady();
  MutexLock l(mu_);
  Duration least = Duration::max();
  for (const auto& [ns, known] : known_) {
    if (!Has(known, bundle)) return std::nullopt;
    if (known.changed_at) least = std::min(least, now - *known.changed_at);
  }
  return least;
}

void CaPublisher::Refresh(const std::stop_token& stop) {
  const BundlePtr bundle = source_.Bundle();
  const Time now = clock_.Steady();
  if (bundle == nullptr || !leadership_.Valid(now)) return;
  std::vector<std::string> behind;
  {
    MutexLock l(mu_);
    for (const auto& [ns, known] : known_) {
      if (!Has(known, *bundle) && (known.wait == Duration{0} || now >= known.try_at))
        behind.push_back(ns);
    }
  }
  for (const std::string& ns : behind) {
    if (stop.stop_requested()) return;
    const Status brought = Bring(ns, bundle, stop);
    if (!brought.ok() && brought.error().code != ErrorCode::kAborted)
      Log(LogLevel::kWarning, "a namespace keeps its old certificate authority for now",
          {{"namespace", ns}, {"error", brought.error().message}});
  }
}

}  // namespace backfill::certificates
