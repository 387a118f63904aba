#include "operator/api/json.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

namespace backfill::api {
namespace {

using Json = nlohmann::json;
using nlohmann::ordered_json;

constexpr int kMaxJsonDepth = 64;

Node FromJson(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded:
      return Node{};
    case Json::value_t::boolean:
      return Node::Bool(value.get<bool>());
    case Json::value_t::number_integer:
      return Node::Int(value.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      return Node::Int(value.get<std::uint64_t>());
    case Json::value_t::number_float: {
      Node node = Node::Float(value.get<double>());
      node.text = value.dump();
      return node;
    }
    case Json::value_t::string:
      return Node::String(value.get<std::string>());
    case Json::value_t::array: {
      Node list = Node::List();
      for (const Json& item : value) list.items.push_back(FromJson(item));
      return list;
    }
    case Json::value_t::object: {
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

// Builds nothing; keeps the first fault.
struct FaultFinder final : nlohmann::json_sax<Json> {
  JsonFault fault;

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*size*/) override { return true; }
  bool key(string_t& /*name*/) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t /*size*/) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: what is wrong; last read:
    // ..."
    std::string_view message = e.what();
    if (const auto colon = message.find(": "); colon != std::string_view::npos) {
      message.remove_prefix(colon + 2);
    }
    message = message.substr(0, message.find("; last read"));
    fault = {position == 0 ? 0 : position - 1, std::string(message)};
    return false;
  }
};

}  // namespace

Result<Node> ParseJsonObject(std::string_view text) {
  if (text.find('\0') != std::string_view::npos)  // where the library takes it for the end
    return Error{ErrorCode::kInvalid, "the JSON holds a NUL"};
  bool too_deep = false;
  const auto callback = [&too_deep](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
    if (depth > kMaxJsonDepth) too_deep = true;
    return !too_deep;  // false drops the value, so nothing deep is ever built
  };
  const Json value = Json::parse(text, callback, /*allow_exceptions=*/false);
  if (too_deep) return Error{ErrorCode::kInvalid, "the JSON is nested deeper than 64 levels"};
  if (!value.is_object()) return Error{ErrorCode::kInvalid, "this is not a JSON object"};
  return FromJson(value);
}

std::optional<JsonFault> FindJsonFault(std::string_view text) {
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    return JsonFault{nul, "a NUL"};
  FaultFinder finder;
  if (Json::sax_parse(text, &finder)) return std::nullopt;
  return finder.fault;
}

std::string WriteJson(const Node& node, int indent, MemberOrder order) {
  constexpr auto kReplace = Json::error_handler_t::replace;
  switch (order) {
    case MemberOrder::kAsGiven:
      return ToJsonValue<ordered_json>(node).dump(indent, ' ', false,
                                                  ordered_json::error_handler_t::replace);
    case MemberOrder::kSorted:
      return ToJsonValue<Json>(node).dump(indent, ' ', false, kReplace);
  }
  return {};
}

}  // namespace backfill::api
