#include "operator/kube/client/api_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/query.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxListBytes = std::size_t{64} << 20;  // R33
constexpr std::string_view kJson = "application/json";
constexpr std::size_t kMaxPages = 10'000;

std::string Doing(std::string_view verb, const ResourceType& type, std::string_view ns,
                  std::string_view name, std::string_view subresource = {}) {
  std::string out = fmt::format("{} {}", verb, type.kind);
  if (!subresource.empty()) out += fmt::format("/{}", subresource);
  if (!ns.empty() && !name.empty()) return fmt::format("{} {}/{}", out, ns, name);
  if (!name.empty()) return fmt::format("{} {}", out, name);
  return ns.empty() ? out : fmt::format("{} in {}", out, ns);
}

ApiError Problem(ApiErrorKind kind, std::string message) {
  ApiError e;
  e.kind = kind;
  e.message = std::move(message);
  return e;
}

std::string_view ContentTypeOf(PatchType type) {
  switch (type) {
    case PatchType::kJson:
      return "application/json-patch+json";
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kApply:
      return "application/apply-patch+yaml";  // which JSON is
  }
  return "";
}

std::string_view ToString(Propagation propagation) {
  switch (propagation) {
    case Propagation::kBackground:
      return "Background";
    case Propagation::kForeground:
      return "Foreground";
    case Propagation::kOrphan:
      return "Orphan";
  }
  return "";
}

}  // namespace

ApiClient::ApiClient(HttpTransport& transport, RateLimiter* limiter, ApiClientOptions options)
    : transport_(transport), limiter_(limiter), options_(std::move(options)) {}

ApiResult<std::string> ApiClient::Call(HttpRequest request, std::string_view doing,
                                       const CallLimits& limits) const {
  if (limiter_ != nullptr) {
    if (auto turn = limiter_->Wait(limits.deadline, limits.stop); !turn.ok())
      return turn.error().Annotate(doing);
  }
  Result<HttpResponse> response = transport_.Send(request, limits.deadline, limits.stop);
  if (!response.ok()) return ErrorOf(response.error()).Annotate(doing);
  if (options_.on_warning) {
    for (const std::string& warning : response->warnings) options_.on_warning(doing, warning);
  }
  if (response->status >= 200 && response->status <= 299) return std::move(response->body);
  const ApiError error = ErrorOf(*response).Annotate(doing);
  // What is refused for its rate, or for the server's health, is so for all requests. Others have a
  // Retry-After of their own meaning: a taken name, a plan that conflicts.
  const bool of_the_server = response->status == 429 || response->status == 503;
  if (limiter_ != nullptr && of_the_server && error.retry_after)
    limiter_->HoldOff(*error.retry_after);
  return error;
}

ApiResult<ApiObjectPtr> ApiClient::CallForObject(const Resource& resource, HttpRequest request,
                                                 const std::string& doing,
                                                 const CallLimits& limits) const {
  const std::string body = TRY(Call(std::move(request), doing, limits));
  Result<ApiObjectPtr> object = ParseObject(body, resource.decode);
  if (object.ok()) return std::move(object).value();
  // A write has happened all the same.
  return Problem(ApiErrorKind::kInternal,
                 fmt::format("{}: the answer cannot be read: {}", doing, object.error().message));
}

ApiResult<ApiObjectPtr> ApiClient::Get(const Resource& resource, const ObjectKey& key,
                                       const CallLimits& limits) const {
  return CallForObject(resource, {.target = PathOf(resource.type, key.ns, key.name)},
                       Doing("getting", resource.type, key.ns, key.name), limits);
}

ApiResult<ListPage> ApiClient::List(const Resource& resource, const ListOptions& options,
                                    const CallLimits& limits) const {
  const std::string doing = Doing("listing", resource.type, options.ns, "");
  Query query;
  query.Add("limit", std::to_string(options.page))
      .AddUnlessEmpty("labelSelector", options.label_selector)
      .AddUnlessEmpty("fieldSelector", options.field_selector);
  // A token says its version itself, and the server refuses both.
  if (options.next.empty()) {
    query.AddUnlessEmpty("resourceVersion", options.resource_version);
  } else {
    query.Add("continue", options.next);
  }
  const std::string body = TRY(Call({.target = query.After(PathOf(resource.type, options.ns)),
                                     .max_response_bytes = kMaxListBytes},
                                    doing, limits));
  Result<ListPage> page = ParseList(body, resource.decode);
  if (page.ok()) return std::move(page).value();
  return Problem(ApiErrorKind::kInternal,
                 fmt::format("{}: the answer cannot be read: {}", doing, page.error().message));
}

ApiResult<ListPage> ApiClient::ListAll(const Resource& resource, ListOptions options,
                                       std::size_t max_items, const CallLimits& limits) const {
  ListPage all = TRY(List(resource, options, limits));
  for (std::size_t pages = 1; !all.next.empty(); ++pages) {
    if (all.items.size() + all.broken >= max_items || pages >= kMaxPages)
      return Problem(ApiErrorKind::kTooLarge,
                     fmt::format("{}: more than {}",
                                 Doing("listing", resource.type, options.ns, ""), max_items));
    options.next = std::move(all.next);
    ListPage page = TRY(List(resource, options, limits));
    std::move(page.items.begin(), page.items.end(), std::back_inserter(all.items));
    all.broken += page.broken;
    if (all.problem.empty()) all.problem = std::move(page.problem);
    all.next = std::move(page.next);  // the version stays that of the first
  }
  if (all.items.size() + all.broken > max_items)
    return Problem(ApiErrorKind::kTooLarge,
                   fmt::format("{}: more than {}", Doing("listing", resource.type, options.ns, ""),
                               max_items));
  return all;
}

ApiResult<ApiObjectPtr> ApiClient::Create(const Resource& resource, std::string_view ns,
                                          std::string body, const CallLimits& limits) const {
  Query query;
  query.Add("fieldManager", options_.field_manager);
  return CallForObject(resource,
                       {.method = HttpMethod::kPost,
                        .target = query.After(PathOf(resource.type, ns)),
                        .content_type = std::string(kJson),
                        .body = std::move(body)},
                       Doing("creating", resource.type, ns, ""), limits);
}

ApiResult<Ok> ApiClient::WouldCreate(const Resource& resource, std::string_view ns,
                                     std::string body, const CallLimits& limits) const {
  Query query;
  query.Add("dryRun", "All").Add("fieldManager", options_.field_manager);
  TRY(Call({.method = HttpMethod::kPost,
            .target = query.After(PathOf(resource.type, ns)),
            .content_type = std::string(kJson),
            .body = std::move(body)},
           Doing("trying to create", resource.type, ns, ""), limits));
  return Ok{};
}

ApiResult<ApiObjectPtr> ApiClient::Update(const Resource& resource, const ObjectKey& key,
                                          std::string body, const CallLimits& limits,
                                          std::string_view subresource) const {
  Query query;
  query.Add("fieldManager", options_.field_manager);
  return CallForObject(resource,
                       {.method = HttpMethod::kPut,
                        .target = query.After(PathOf(resource.type, key.ns, key.name, subresource)),
                        .content_type = std::string(kJson),
                        .body = std::move(body)},
                       Doing("updating", resource.type, key.ns, key.name, subresource), limits);
}

ApiResult<ApiObjectPtr> ApiClient::Patch(const Resource& resource, const ObjectKey& key,
                                         std::string body, const PatchOptions& options,
                                         const CallLimits& limits) const {
  Query query;
  query.Add("fieldManager", options_.field_manager);
  if (options.type == PatchType::kApply) query.Add("force", options.force ? "true" : "false");
  return CallForObject(
      resource,
      {.method = HttpMethod::kPatch,
       .target = query.After(PathOf(resource.type, key.ns, key.name, options.subresource)),
       .content_type = std::string(ContentTypeOf(options.type)),
       .body = std::move(body)},
      Doing("patching", resource.type, key.ns, key.name, options.subresource), limits);
}

ApiResult<Ok> ApiClient::Delete(const Resource& resource, const ObjectKey& key,
                                const DeleteOptions& options, const CallLimits& limits) const {
  nlohmann::json body = {{"kind", "DeleteOptions"},
                         {"apiVersion", "v1"},
                         {"propagationPolicy", ToString(options.propagation)}};
  if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
  if (!options.resource_version.empty())
    body["preconditions"]["resourceVersion"] = options.resource_version;
  const std::string doing = Doing("deleting", resource.type, key.ns, key.name);
  // What is not UTF-8 is no uid either.
  TRY(Call({.method = HttpMethod::kDelete,
            .target = PathOf(resource.type, key.ns, key.name),
            .content_type = std::string(kJson),
            .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)},
           doing, limits));
  return Ok{};
}

}  // namespace backfill::kube
