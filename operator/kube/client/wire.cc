#include "operator/kube/client/wire.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kube/client/bounded_json.h"

namespace backfill::kube {
namespace {

using nlohmann::json;

constexpr std::string_view kTooDeep = "nests too deep";

const json& Member(const json& object, const char* key) {
  static const json kNone;
  if (!object.is_object()) return kNone;
  const auto it = object.find(key);
  return it == object.end() ? kNone : *it;
}

std::string TextOf(const json& object, const char* key) {
  const json& value = Member(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// For messages: which of many objects it was.
std::string NameIn(const json& object) {
  const json& meta = Member(object, "metadata");
  const std::string ns = TextOf(meta, "namespace");
  const std::string name = TextOf(meta, "name");
  return ns.empty() ? name : fmt::format("{}/{}", ns, name);
}

Error Invalid(std::string_view what) { return {ErrorCode::kInvalid, std::string(what)}; }

Result<ApiObjectPtr> Decode(const json& object, DecodeObject decode) {
  if (!object.is_object()) return Invalid("must be an object");
  try {
    ApiObjectPtr out = TRY(decode(object));
    if (out == nullptr) return Invalid("is of no known kind");
    return out;
  } catch (const json::exception& e) {
    // A decoder that took a type for granted: one of these may not stop the operator.
    return Invalid(fmt::format("has a member of another type than expected (error {})", e.id));
  }
}

// What is kept under its name needs one.
Result<ApiObjectPtr> DecodeNamed(const json& object, bool too_deep, DecodeObject decode) {
  if (too_deep) return Invalid(kTooDeep);
  ApiObjectPtr out = TRY(Decode(object, decode));
  if (out->meta.name.empty()) return Invalid("metadata.name: must not be empty");
  return out;
}

}  // namespace

Result<ListPage> ParseList(std::string_view body, DecodeObject decode) {
  ListPage page;
  const auto take = [&](const json& item, bool too_deep) {
    Result<ApiObjectPtr> object = DecodeNamed(item, too_deep, decode);
    if (object.ok()) {
      page.items.push_back(std::move(object).value());
      return;
    }
    const json& of = Member(item, "metadata");
    ObjectKey key{.ns = TextOf(of, "namespace"), .name = TextOf(of, "name")};
    if (!key.name.empty()) page.unreadable.push_back(std::move(key));
    if (page.broken++ == 0) {
      page.problem =
          fmt::format("item {} ({}): {}", page.items.size(), NameIn(item), object.error().message);
    }
  };
  const BoundedJson parsed = TRY(ParseBounded(body, Envelope::kList, take));
  const json& list = parsed.value;
  const json& meta = Member(list, "metadata");
  if (parsed.too_deep) return Invalid("a list that nests too deep");
  if (!list.is_object() || !meta.is_object() || !list.contains("items")) return Invalid("no list");
  const json& items = list["items"];
  if (!items.is_array() && !items.is_null()) return Invalid("items: must be a list");
  page.resource_version = TextOf(meta, "resourceVersion");
  page.next = TextOf(meta, "continue");
  // A watch from no version would begin with all objects again, and know nothing of deletions.
  if (page.resource_version.empty()) return Invalid("metadata.resourceVersion: must not be empty");
  return page;
}

Result<ApiObjectPtr> ParseObject(std::string_view body, DecodeObject decode) {
  const BoundedJson parsed = TRY(ParseBounded(body, Envelope::kNone));
  if (parsed.too_deep) return Invalid(kTooDeep);
  return Decode(parsed.value, decode);
}

WatchEvent ParseWatchLine(std::string_view line, DecodeObject decode) {
  Result<BoundedJson> parsed = ParseBounded(line, Envelope::kEvent);
  if (!parsed.ok()) return Broken{.problem = parsed.error().message, .resource_version = {}};
  const json& event = parsed->value;
  const json& object = Member(event, "object");
  const json& meta = Member(object, "metadata");
  const std::string type = TextOf(event, "type");
  const std::string version = TextOf(meta, "resourceVersion");
  const auto broken = [&](std::string_view problem) {
    return Broken{.problem = fmt::format("{} {}: {}", type.empty() ? "event" : type.substr(0, 32),
                                         NameIn(object), problem),
                  .resource_version = version};
  };
  if (type == "ERROR") {
    if (!object.is_object()) return broken("without a Status");
    return ErrorOfStatus(object.dump());
  }
  if (type == "BOOKMARK") {
    if (version.empty()) return broken("without a version");
    return Bookmark{.resource_version = version,
                    .initial_events_end =
                        TextOf(Member(meta, "annotations"), "k8s.io/initial-events-end") == "true"};
  }
  ChangeType change = ChangeType::kAdded;
  if (type == "MODIFIED") {
    change = ChangeType::kModified;
  } else if (type == "DELETED") {
    change = ChangeType::kDeleted;
  } else if (type != "ADDED") {
    return broken("of no known type");
  }
  if (version.empty()) return broken("without a version");
  Result<ApiObjectPtr> decoded = DecodeNamed(object, parsed->too_deep, decode);
  if (!decoded.ok()) return broken(decoded.error().message);
  return Change{.type = change, .object = std::move(decoded).value()};
}

}  // namespace backfill::kube
