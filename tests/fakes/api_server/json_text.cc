#include "tests/fakes/api_server/json_text.h"

namespace backfill::fakes {

std::optional<Json> ParseJson(std::string_view text) {
  constexpr int kMaxDepth = 64;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  bool deep = false;
  const auto shallow = [&deep](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
    if (depth > kMaxDepth) deep = true;
    return !deep;
  };
  Json json = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (deep || json.is_discarded()) return std::nullopt;
  return json;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json* At(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = &json;
  for (const char* name : path) {
    if (!at->is_object()) return nullptr;
    const auto it = at->find(name);
    if (it == at->end()) return nullptr;
    at = &*it;
  }
  return at;
}

std::string TextAt(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = At(json, path);
  return at != nullptr && at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace backfill::fakes
