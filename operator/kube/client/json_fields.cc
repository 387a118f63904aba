#include "operator/kube/client/json_fields.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/bounded_json.h"

namespace backfill::kube {
namespace {

using nlohmann::json;

// Decides, while nlohmann parses, what to keep.
class Sieve {
 public:
  Sieve(Envelope envelope, const OnListItem& on_item, BoundedJson& out)
      : list_(envelope == Envelope::kList),
        max_depth_(kMaxJsonDepth + (list_                          ? 2
                                    : envelope == Envelope::kEvent ? 1
                                                                   : 0)),
        on_item_(on_item),
        out_(out) {}

  bool Keep(int depth, json::parse_event_t event, const json& parsed) {
    using Event = json::parse_event_t;
    const bool after_metadata = std::exchange(after_metadata_, false);
    const bool begins = event == Event::object_start || event == Event::array_start;
    if (depth == 1 && event == Event::array_start) in_items_ = list_ && after_items_;
    if (in_items_ && depth == 2) {
      if (begins) deep_item_ = false;
      if (event == Event::object_end || event == Event::array_end) return Item(parsed, deep_item_);
      if (event == Event::value) return Item(parsed, false);
    }
    if (begins && depth >= max_depth_) return TooDeep();
    if (event == Event::object_start && depth < max_depth_)
      metadata_at_[static_cast<std::size_t>(depth)] = after_metadata;
    if (event != Event::key) return true;
    const auto& key = parsed.get_ref<const std::string&>();
    if (depth == 1) {
      after_items_ = key == "items";
      in_items_ = false;
    }
    after_metadata_ = key == "metadata";
    // `depth` counts from the object's inside here. What is inside of what was too deep is not
    // kept anyway.
    return depth > max_depth_ || key != "managedFields" ||
           !metadata_at_[static_cast<std::size_t>(depth - 1)];
  }

 private:
  bool TooDeep() {
    (in_items_ ? deep_item_ : out_.too_deep) = true;
    return false;
  }
  bool Item(const json& item, bool too_deep) {
    if (!on_item_) return true;
    on_item_(item, too_deep);
    return false;
  }

  const bool list_;
  const int max_depth_;
  bool after_items_ = false;  // the key has come
  bool in_items_ = false;     // and an array after it
  bool deep_item_ = false;
  bool after_metadata_ = false;
  std::array<bool, kMaxJsonDepth + 2> metadata_at_{};  // the object that begins there is metadata
  const OnListItem& on_item_;
  BoundedJson& out_;
};

}  // namespace

Result<BoundedJson> ParseBounded(std::string_view text, Envelope envelope,
                                 const OnListItem& on_item) {
  // nlohmann takes a NUL for the end.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    return Error{ErrorCode::kInvalid, fmt::format("not JSON: a NUL at byte {}", nul + 1)};
  BoundedJson out;
  Sieve sieve(envelope, on_item, out);
  try {
    // Not a copy of the sieve for each of nlohmann's copies of the callback.
    out.value = json::parse(text, [&sieve](int depth, json::parse_event_t event, json& parsed) {
      return sieve.Keep(depth, event, parsed);
    });
  } catch (const json::parse_error& e) {
    // Its text quotes what was read, which may be secret.
    if (text.empty()) return Error{ErrorCode::kInvalid, "empty where JSON was expected"};
    return Error{ErrorCode::kInvalid,
                 fmt::format("not JSON: wrong at byte {} of {}", e.byte, text.size())};
  } catch (const json::exception&) {
    return Error{ErrorCode::kInvalid, "not JSON that can be read: a number is out of range"};
  }
  return out;
}

Result<json> ParseJson(std::string_view text) {
  BoundedJson parsed = TRY(ParseBounded(text, Envelope::kNone));
  if (parsed.too_deep)
    return Error{ErrorCode::kInvalid, fmt::format("JSON deeper than {} levels", kMaxJsonDepth)};
  return std::move(parsed.value);
}

JsonFields::JsonFields(const json& object, std::string path, std::string& problem)
    : object_(&object), path_(std::move(path)), problem_(&problem) {
  if (object.is_object()) return;
  object_ = nullptr;
  if (!object.is_null()) Complain(path_, "an object");
}

std::string JsonFields::PathTo(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void JsonFields::Complain(const std::string& path, std::string_view wanted) const {
  if (!problem_->empty()) return;
  *problem_ = path.empty() ? fmt::format("must be {}", wanted)
                           : fmt::format("{}: must be {}", path, wanted);
}

const json* JsonFields::Find(const char* key) const {
  if (object_ == nullptr) return nullptr;
  const auto it = object_->find(key);
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

bool JsonFields::Has(const char* key) const { return Find(key) != nullptr; }

std::vector<std::string> JsonFields::Keys() const {
  std::vector<std::string> out;
  if (object_ == nullptr) return out;
  for (const auto& [key, value] : object_->items()) out.push_back(key);
  return out;
}

std::string JsonFields::String(const char* key) const {
  const json* value = Find(key);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get_ref<const std::string&>();
  Complain(PathTo(key), "a string");
  return {};
}

std::int64_t JsonFields::Int(const char* key, std::int64_t otherwise) const {
  const json* value = Find(key);
  if (value == nullptr) return otherwise;
  // What is above int64 nlohmann keeps as unsigned, and as a float above that.
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > kMax) {
    Complain(PathTo(key), "an integer of 64 bits");
    return otherwise;
  }
  if (value->is_number_integer()) return value->get<std::int64_t>();
  Complain(PathTo(key), "an integer");
  return otherwise;
}

bool JsonFields::Bool(const char* key, bool otherwise) const {
  const json* value = Find(key);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  Complain(PathTo(key), "true or false");
  return otherwise;
}

std::vector<std::string> JsonFields::Strings(const char* key) const {
  std::vector<std::string> out;
  const json* value = Find(key);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    Complain(PathTo(key), "a list of strings");
    return out;
  }
  out.reserve(value->size());
  for (std::size_t i = 0; i < value->size(); ++i) {
    const json& element = (*value)[i];
    if (element.is_string()) {
      out.push_back(element.get_ref<const std::string&>());
    } else {
      Complain(fmt::format("{}[{}]", PathTo(key), i), "a string");
    }
  }
  return out;
}

std::map<std::string, std::string> JsonFields::StringMap(const char* key) const {
  std::map<std::string, std::string> out;
  const json* value = Find(key);
  if (value == nullptr) return out;
  if (!value->is_object()) {
    Complain(PathTo(key), "an object of strings");
    return out;
  }
  for (const auto& [name, element] : value->items()) {
    if (element.is_string()) {
      out.emplace(name, element.get_ref<const std::string&>());
    } else if (element.is_null()) {
      out.emplace(name, "");  // as Go reads it
    } else {
      Complain(fmt::format("{}[{}]", PathTo(key), name), "a string");
    }
  }
  return out;
}

JsonFields JsonFields::Object(const char* key) const {
  static const json kNone;
  const json* value = Find(key);
  return {value == nullptr ? kNone : *value, PathTo(key), *problem_};
}

std::vector<JsonFields> JsonFields::Objects(const char* key) const {
  std::vector<JsonFields> out;
  const json* value = Find(key);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    Complain(PathTo(key), "a list of objects");
    return out;
  }
  out.reserve(value->size());
  for (std::size_t i = 0; i < value->size(); ++i)
    out.emplace_back((*value)[i], fmt::format("{}[{}]", PathTo(key), i), *problem_);
  return out;
}

}  // namespace backfill::kube
