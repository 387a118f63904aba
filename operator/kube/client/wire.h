#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "operator/kube/client/api_error.h"
#include "operator/kube/client/api_object.h"

// What the API server sends, taken apart. Hostile text ends in an error, never in a crash: depth is
// at most 64, and what nobody reads (managedFields) is dropped while parsing, not after. Pure.
namespace backfill::kube {

struct ListPage {
  std::vector<ApiObjectPtr> items;
  std::size_t broken = 0;  // items that did not decode; `problem` has the first
  std::string problem;
  std::vector<ObjectKey> unreadable;  // those of them whose names could be read: they exist
  std::string resource_version;
  std::string next;  // the token of the next page; empty: this is the last
};

// kInvalid: not a list at all.
Result<ListPage> ParseList(std::string_view body, DecodeObject decode);

Result<ApiObjectPtr> ParseObject(std::string_view body, DecodeObject decode);

enum class ChangeType { kAdded, kModified, kDeleted };

struct Change {
  ChangeType type = ChangeType::kAdded;
  ApiObjectPtr object;
};
struct Bookmark {
  std::string resource_version;
  bool initial_events_end = false;  // the annotation k8s.io/initial-events-end
};
// A line that is not an event, an event of an unknown type, an object that does not decode. Its
// version is known if at least that could be read: then the watch is still at that version.
struct Broken {
  std::string problem;
  std::string resource_version;
};
using WatchEvent = std::variant<Change, Bookmark, ApiError, Broken>;

WatchEvent ParseWatchLine(std::string_view line, DecodeObject decode);

}  // namespace backfill::kube
