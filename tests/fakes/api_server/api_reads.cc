#include <fmt/format.h>

#include <charconv>

#include "tests/fakes/api_server/api_state.h"

namespace backfill::fakes {
namespace {

constexpr std::string_view kConsistent = "c";
constexpr std::string_view kInconsistent = "i";

// Where the next page begins: of which version, after which key. Clients treat it as opaque.
std::string Token(std::string_view kind_of, std::uint64_t version, const std::string& key) {
  std::string token = fmt::format("{}{}.", kind_of, version);
  for (const char c : key) token += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return token;
}

struct Place {
  bool consistent = true;
  std::uint64_t version = 0;
  std::string key;
};
std::optional<Place> ParseToken(std::string_view token) {
  if (token.empty()) return std::nullopt;
  Place place;
  place.consistent = token.substr(0, 1) == kConsistent;
  if (!place.consistent && token.substr(0, 1) != kInconsistent) return std::nullopt;
  token.remove_prefix(1);
  const std::size_t dot = token.find('.');
  if (dot == std::string_view::npos || (token.size() - dot) % 2 == 0) return std::nullopt;
  if (std::from_chars(token.data(), token.data() + dot, place.version).ptr != token.data() + dot) {
    return std::nullopt;
  }
  for (token.remove_prefix(dot + 1); !token.empty(); token.remove_prefix(2)) {
    unsigned char c = 0;
    if (std::from_chars(token.data(), token.data() + 2, c, 16).ptr != token.data() + 2) {
      return std::nullopt;
    }
    place.key += static_cast<char>(c);
  }
  return place;
}

}  // namespace

kube::HttpResponse ApiState::Read(const ApiCall& call, std::uint64_t visible) {
  const FakeKind* kind = KindOf(call);
  if (kind == nullptr) return NoSuchPath();
  const Answer<Json> answer =
      call.verb == "get" ? GetObject(*kind, call, visible) : ListObjects(*kind, call, visible);
  if (!answer.ok()) return ResponseTo(answer.error());
  return {.status = 200, .body = Dump(*answer), .retry_after = {}, .warnings = {}};
}

Answer<Json> ApiState::GetObject(const FakeKind& kind, const ApiCall& call, std::uint64_t visible) {
  const std::string key = KeyOf(call.ns, call.name);
  JsonPtr object = history_.Find(kind, key);
  const auto version = TRY(call.Version());
  if (version && visible < history_.version()) {  // from a cache that lags behind
    const ObjectMap seen = history_.AllAt(kind, visible);
    const auto it = seen.find(key);
    object = it == seen.end() ? nullptr : it->second;
  }
  if (object == nullptr) return NotFound(kind, call.name);
  if (call.as == Representation::kMetadataList) {
    return NotAcceptable(
        "you requested PartialObjectMetadataList, but the requested object is not a list");
  }
  return call.as == Representation::kMetadata ? PartialOf(*object) : *object;
}

Answer<ApiState::Snapshot> ApiState::Continued(const FakeKind& kind, const ApiCall& call) {
  const std::string version = call.Option("resourceVersion");
  if (!version.empty() && version != "0") {
    return BadRequest("specifying resource version is not allowed when using continue");
  }
  const auto place = ParseToken(call.Option("continue"));
  if (!place) return BadRequest("invalid continue token: continue key is not valid");
  if (!place->consistent) {
    return Snapshot{history_.All(kind), history_.version(), place->key};
  }
  if (place->version < history_.compacted()) {
    Failure gone = Expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted between "
        "the time the first chunk was returned and now may show up in the list.");
    gone.continue_token = Token(kInconsistent, 0, place->key);
    return gone;
  }
  return Snapshot{history_.AllAt(kind, place->version), place->version, place->key};
}

Answer<ApiState::Snapshot> ApiState::SnapshotFor(const FakeKind& kind, const ApiCall& call,
                                                 std::uint64_t visible) {
  if (!call.Option("continue").empty()) return Continued(kind, call);
  const auto version = TRY(call.Version());
  const auto limit = TRY(call.Number("limit"));
  const std::string match = call.Option("resourceVersionMatch");
  if (!match.empty() && !version) {
    return InvalidOptions("resourceVersionMatch",
                          "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
                          "provided");
  }
  if (!match.empty() && match != "Exact" && match != "NotOlderThan") {
    return InvalidOptions("resourceVersionMatch",
                          "Unsupported value: \"" + match +
                              "\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
  }
  if (match == "Exact" && *version == 0) {
    return InvalidOptions("resourceVersionMatch",
                          "Forbidden: resourceVersionMatch \"exact\" is forbidden for "
                          "resourceVersion \"0\"");
  }
  if (!version) return Snapshot{history_.All(kind), history_.version(), ""};
  const bool exact = match == "Exact" || (match.empty() && *version > 0 && limit.value_or(0) > 0);
  if (*version > visible) return TooLargeVersion(*version, visible);
  if (!exact) return Snapshot{history_.AllAt(kind, visible), visible, ""};
  if (*version < history_.compacted()) {
    return Expired("The resourceVersion for the provided list is too old.");
  }
  return Snapshot{history_.AllAt(kind, *version), *version, ""};
}

Answer<Json> ApiState::ListObjects(const FakeKind& kind, const ApiCall& call,
                                   std::uint64_t visible) {
  if (call.as == Representation::kMetadata) {
    return NotAcceptable("you requested PartialObjectMetadata, but the requested object is a list");
  }
  const bool partial = call.as == Representation::kMetadataList;
  const Selector selector = TRY(Selector::Parse(call, kind));
  const Snapshot snapshot = TRY(SnapshotFor(kind, call, visible));
  const std::uint64_t limit = TRY(call.Number("limit")).value_or(0);

  Json metadata{{"resourceVersion", std::to_string(snapshot.version)}};
  Json items = Json::array();
  std::uint64_t remaining = 0;
  std::string last;
  for (auto it = snapshot.objects.upper_bound(snapshot.after); it != snapshot.objects.end(); ++it) {
    if (!call.ns.empty() && NamespaceOf(it->first) != call.ns) continue;
    if (!selector.Matches(*it->second)) continue;
    if (limit > 0 && items.size() >= limit) {
      ++remaining;
      continue;
    }
    Json item = partial ? PartialOf(*it->second) : *it->second;
    if (!kind.custom && !partial) {  // items of built-in lists do not repeat what they are
      item.erase("kind");
      item.erase("apiVersion");
    }
    items.push_back(std::move(item));
    last = it->first;
  }
  if (remaining > 0) {
    metadata["continue"] = Token(kConsistent, snapshot.version, last);
    if (selector.empty()) metadata["remainingItemCount"] = remaining;
  }
  return Json{{"kind", partial ? "PartialObjectMetadataList" : kind.kind + "List"},
              {"apiVersion", partial ? "meta.k8s.io/v1" : kind.api_version()},
              {"metadata", std::move(metadata)},
              {"items", std::move(items)}};
}

}  // namespace backfill::fakes
