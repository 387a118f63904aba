#include "operator/observe/json_source.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/bounded_json.h"
#include "operator/observe/answers.h"
#include "operator/observe/fetch.h"
#include "operator/observe/json_pointer.h"
#include "operator/observe/metric_text.h"

namespace backfill::observe {
namespace {

constexpr std::size_t kMaxBodyBytes = std::size_t{1} << 20;

std::vector<std::string> PointerOf(const std::string& text) {
  auto pointer = ParseJsonPointer(text);
  return pointer.ok() ? std::move(*pointer) : std::vector<std::string>();
}

}  // namespace

JsonSource::JsonSource(JsonQuery query, MetricServers& servers, const Clock& clock)
    : query_(std::move(query)),
      pointer_(PointerOf(query_.pointer)),
      servers_(servers),
      clock_(clock) {}

Reply JsonSource::Ask(Time deadline, const std::stop_token& stop) {
  auto body = Fetch(servers_,
                    {.url = query_.url,
                     .credentials = query_.credentials,
                     .accept = "application/json",
                     .max_bytes = kMaxBodyBytes},
                    clock_, deadline, stop);
  if (!body.ok()) return body.error();
  return ReadJsonValue(*body, pointer_, clock_.Steady());
}

Reply ReadJsonValue(std::string_view body, const std::vector<std::string>& pointer, Time now) {
  const auto document = kube::ParseBounded(body, kube::Envelope::kNone);
  if (!document.ok()) return ProviderFailed(now, "the answer is not JSON");
  if (document->too_deep) return BadQuestion(now, "the answer is nested too deep");
  const nlohmann::json* found = Find(document->value, pointer);
  if (found == nullptr) return NoData(now, "the answer has nothing where the pointer leads");
  if (found->is_null()) return NoData(now, "there is null where the pointer leads");
  double value = 0;
  if (found->is_number()) {
    value = found->get<double>();
  } else if (!found->is_string() ||
             !ParseMetricNumber(found->get_ref<const std::string&>(), value)) {
    return BadQuestion(now, std::string("there is no number but ") +
                                (found->is_string() ? "a text" : found->type_name()) +
                                " where the pointer leads");
  }
  return ValueAt(value, now);
}

}  // namespace backfill::observe
