#include "operator/kube/runtime/lease_api.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "operator/kube/client/api_object.h"
#include "operator/kube/client/json_fields.h"

namespace backfill::kube {
namespace {

constexpr ResourceType kLeaseType{.group = "coordination.k8s.io",
                                  .version = "v1",
                                  .plural = "leases",
                                  .kind = "Lease",
                                  .namespaced = true};
constexpr std::size_t kMaxLeaseBytes = std::size_t{256} << 10;

// Whatever stands there: nothing is decided by it.
WallTime TimeOfLease(const std::string& text) {
  const std::size_t dot = text.find('.');
  const std::string whole = dot == std::string::npos ? text : text.substr(0, dot) + "Z";
  WallTime time = ParseWallTime(whole).value_or(WallTime{});
  if (dot == std::string::npos) return time;
  std::int64_t micros = 0;
  for (std::size_t i = 1; i <= 6; ++i) {
    const char c = dot + i < text.size() ? text[dot + i] : '0';
    micros = micros * 10 + (c >= '0' && c <= '9' ? c - '0' : 0);
  }
  return time + std::chrono::microseconds(micros);
}

ApiError NoLease(const std::string& problem) {
  ApiError e;
  e.message = "what the server sent is no Lease: " + problem;
  return e;
}

ApiResult<StoredLease> ParseLease(const std::string& body) {
  const Result<nlohmann::json> object = ParseJson(body);
  if (!object.ok()) return NoLease(object.error().message);
  if (!object->is_object()) return NoLease("no object");
  std::string problem;
  const JsonFields fields(*object, "", problem);
  const JsonFields spec = fields.Object("spec");
  StoredLease lease{.record = {.holder = spec.String("holderIdentity"),
                               .duration_seconds = spec.Int("leaseDurationSeconds"),
                               .acquired = TimeOfLease(spec.String("acquireTime")),
                               .renewed = TimeOfLease(spec.String("renewTime")),
                               .transitions = spec.Int("leaseTransitions")},
                    .version = fields.Object("metadata").String("resourceVersion"),
                    .object = body};
  if (problem.empty() && fields.String("kind") != "Lease") problem = "kind is not Lease";
  if (problem.empty() && lease.version.empty()) problem = "metadata.resourceVersion is missing";
  if (!problem.empty()) return NoLease(problem);
  return lease;
}

void SetLeaseSpec(nlohmann::json& object, const LeaseRecord& record) {
  nlohmann::json& spec = object["spec"];
  if (!spec.is_object()) spec = nlohmann::json::object();
  spec["holderIdentity"] = record.holder;
  spec["leaseDurationSeconds"] = record.duration_seconds;
  spec["acquireTime"] = FormatMicroTime(record.acquired);
  spec["renewTime"] = FormatMicroTime(record.renewed);
  spec["leaseTransitions"] = record.transitions;
}

HttpRequest LeaseRequest(HttpMethod method, std::string target) {
  HttpRequest request;
  request.method = method;
  request.target = std::move(target);
  request.max_response_bytes = kMaxLeaseBytes;
  return request;
}

HttpRequest LeaseWrite(HttpMethod method, std::string target, const nlohmann::json& object) {
  HttpRequest request = LeaseRequest(method, std::move(target));
  request.content_type = "application/json";
  request.body = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return request;
}

}  // namespace

HttpLeaseApi::HttpLeaseApi(HttpTransport& transport, std::string ns, std::string name)
    : transport_(transport), ns_(std::move(ns)), name_(std::move(name)) {}

ApiResult<StoredLease> HttpLeaseApi::Get(Time deadline, std::stop_token stop) {
  return Send(LeaseRequest(HttpMethod::kGet, PathOf(kLeaseType, ns_, name_)), deadline,
              std::move(stop), "reading");
}

ApiResult<StoredLease> HttpLeaseApi::Create(const LeaseRecord& record, Time deadline,
                                            std::stop_token stop) {
  nlohmann::json object = {{"apiVersion", "coordination.k8s.io/v1"},
                           {"kind", "Lease"},
                           {"metadata", {{"namespace", ns_}, {"name", name_}}}};
  SetLeaseSpec(object, record);
  return Send(LeaseWrite(HttpMethod::kPost, PathOf(kLeaseType, ns_), object), deadline,
              std::move(stop), "creating");
}

ApiResult<StoredLease> HttpLeaseApi::Update(const StoredLease& base, const LeaseRecord& record,
                                            Time deadline, std::stop_token stop) {
  Result<nlohmann::json> object = ParseJson(base.object);
  if (!object.ok() || !object->is_object()) return NoLease("as it was read before");
  nlohmann::json& meta = (*object)["metadata"];
  if (!meta.is_object()) meta = nlohmann::json::object();
  meta["resourceVersion"] = base.version;
  SetLeaseSpec(*object, record);
  // A PUT makes a Lease that is not there, unless the object has a uid, as what was read has.
  return Send(LeaseWrite(HttpMethod::kPut, PathOf(kLeaseType, ns_, name_), *object), deadline,
              std::move(stop), "writing");
}

ApiResult<StoredLease> HttpLeaseApi::Send(const HttpRequest& request, Time deadline,
                                          std::stop_token stop, const std::string& doing) {
  const std::string context = doing + " the Lease " + ns_ + "/" + name_;
  const Result<HttpResponse> response = transport_.Send(request, deadline, std::move(stop));
  if (!response.ok()) return ErrorOf(response.error()).Annotate(context);
  if (response->status < 200 || response->status > 299) return ErrorOf(*response).Annotate(context);
  return ParseLease(response->body).Annotate(context);
}

std::string FormatMicroTime(WallTime t) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(t);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(t - seconds).count();
  std::string text = FormatWallTime(WallTime(seconds));
  text.pop_back();  // Z
  return fmt::format("{}.{:06}Z", text, micros);
}

}  // namespace backfill::kube
