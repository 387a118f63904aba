#include "operator/kube/runtime/event_api.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/api_object.h"
#include "operator/kube/runtime/lease_api.h"

namespace backfill::kube {
namespace {

constexpr ResourceType kEventType{.group = "events.k8s.io",
                                  .version = "v1",
                                  .plural = "events",
                                  .kind = "Event",
                                  .namespaced = true};
constexpr std::size_t kMaxEventResponse = std::size_t{64} << 10;

std::string_view NameOf(EventType type) {
  switch (type) {
    case EventType::kNormal:
      return "Normal";
    case EventType::kWarning:
      return "Warning";
  }
  return "Normal";
}

nlohmann::json SeriesJson(const EventWrite& write) {
  return {{"count", write.count}, {"lastObservedTime", FormatMicroTime(write.last)}};
}

nlohmann::json EventJson(const EventWrite& write, const std::string& controller,
                         const std::string& instance) {
  const Event& event = write.event;
  nlohmann::json regarding = {{"apiVersion", event.regarding.api_version},
                              {"kind", event.regarding.kind},
                              {"name", event.regarding.name},
                              {"uid", event.regarding.uid}};
  if (!event.regarding.ns.empty()) regarding["namespace"] = event.regarding.ns;
  nlohmann::json object = {{"apiVersion", "events.k8s.io/v1"},
                           {"kind", "Event"},
                           {"metadata", {{"namespace", write.ns}, {"name", write.name}}},
                           {"eventTime", FormatMicroTime(write.first)},
                           {"reportingController", controller},
                           {"reportingInstance", instance},
                           {"regarding", regarding},
                           {"type", NameOf(event.type)},
                           {"reason", event.reason},
                           {"action", event.action},
                           {"note", event.note}};
  if (write.count > 1) object["series"] = SeriesJson(write);
  return object;
}

}  // namespace

HttpEventSink::HttpEventSink(HttpTransport& transport, std::string controller, std::string instance)
    : transport_(transport), controller_(std::move(controller)), instance_(std::move(instance)) {}

ApiResult<Ok> HttpEventSink::Write(const EventWrite& write, Time deadline, std::stop_token stop) {
  constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
  HttpRequest request;
  request.max_response_bytes = kMaxEventResponse;
  switch (write.kind) {
    case EventWrite::Kind::kCreate:
      request.method = HttpMethod::kPost;
      request.target = PathOf(kEventType, write.ns);
      request.content_type = "application/json";
      request.body = EventJson(write, controller_, instance_).dump(-1, ' ', false, kReplace);
      break;
    case EventWrite::Kind::kSeries:
      request.method = HttpMethod::kPatch;
      request.target = PathOf(kEventType, write.ns, write.name);
      request.content_type = "application/merge-patch+json";
      request.body = nlohmann::json{{"series", SeriesJson(write)}}.dump(-1, ' ', false, kReplace);
      break;
  }
  const std::string context = "recording the event " + write.event.reason;
  const Result<HttpResponse> response = transport_.Send(request, deadline, std::move(stop));
  if (!response.ok()) return ErrorOf(response.error()).Annotate(context);
  if (response->status < 200 || response->status > 299) return ErrorOf(*response).Annotate(context);
  return Ok{};
}

}  // namespace backfill::kube
