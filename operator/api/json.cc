#include "operator/api/json.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

namespace backfill::api {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int kMaxJsonDepth = 64;

Node FromJson(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
    case json::value_t::binary:
    case json::value_t::discarded:
      return Node{};
    case json::value_t::boolean:
      return Node::Bool(value.get<bool>());
    case json::value_t::number_integer:
      return Node::Int(value.get<std::int64_t>());
    case json::value_t::number_unsigned:
      return Node::Int(value.get<std::uint64_t>());
    case json::value_t::number_float: {
      Node node = Node::Float(value.get<double>());
      node.text = value.dump();
      return node;
    }
    case json::value_t::string:
      return Node::String(value.get<std::string>());
    case json::value_t::array: {
      Node list = Node::List();
      for (const json& item : value) list.items.push_back(FromJson(item));
      return list;
    }
    case json::value_t::object: {
      Node map = Node::Map();
      for (const auto& [key, item] : value.items()) map.Add(key, FromJson(item));
      return map;
    }
  }
  return Node{};
}

template <typename Json>
Json ToJsonValue(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
    case Node::Kind::kAmbiguous:
      return nullptr;
    case Node::Kind::kBool:
      return node.boolean;
    case Node::Kind::kInteger:
      if (node.integer < 0) return static_cast<std::int64_t>(node.integer);
      return static_cast<std::uint64_t>(node.integer);
    case Node::Kind::kFloat:
      return std::isfinite(node.number) ? Json(node.number) : Json(0);
    case Node::Kind::kString:
      return node.text;
    case Node::Kind::kList: {
      Json list = Json::array();
      for (const Node& item : node.items) list.push_back(ToJsonValue<Json>(item));
      return list;
    }
    case Node::Kind::kMap: {
      Json map = Json::object();
      for (const Member& member : node.members) {
        map.push_back({member.key, ToJsonValue<Json>(member.value)});
      }
      return map;
    }
  }
  return nullptr;
}

}  // namespace

Result<Node> ParseJsonObject(std::string_view text) {
  bool too_deep = false;
  const auto callback = [&too_deep](int depth, json::parse_event_t /*event*/, json& /*parsed*/) {
    if (depth > kMaxJsonDepth) too_deep = true;
    return !too_deep;  // false drops the value, so nothing deep is ever built
  };
  const json value = json::parse(text, callback, /*allow_exceptions=*/false);
  if (too_deep) return Error{ErrorCode::kInvalid, "the JSON is nested deeper than 64 levels"};
  if (!value.is_object()) return Error{ErrorCode::kInvalid, "this is not a JSON object"};
  return FromJson(value);
}

bool IsJsonObject(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' && json::accept(text);
}

std::string WriteJson(const Node& node, int indent, MemberOrder order) {
  constexpr auto kReplace = json::error_handler_t::replace;
  switch (order) {
    case MemberOrder::kAsGiven:
      return ToJsonValue<ordered_json>(node).dump(indent, ' ', false,
                                                  ordered_json::error_handler_t::replace);
    case MemberOrder::kSorted:
      return ToJsonValue<json>(node).dump(indent, ' ', false, kReplace);
  }
  return {};
}

}  // namespace backfill::api
