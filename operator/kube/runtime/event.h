#pragma once

#include <compare>
#include <string>

// What happened to an object, for people: `kubectl get events`, `kubectl describe`. Nothing is
// decided by events, and they may be lost.
namespace backfill::kube {

struct ObjectReference {
  std::string api_version;
  std::string kind;
  std::string ns;  // "" of what has none; its events go to `default`
  std::string name;
  std::string uid;
  auto operator<=>(const ObjectReference&) const = default;
};

enum class EventType { kNormal, kWarning };

struct Event {
  ObjectReference regarding;
  EventType type = EventType::kNormal;
  std::string reason;  // PascalCase, for machines: at most 128 bytes
  std::string action;  // what was done or tried, likewise
  std::string note;    // at most 1,024 bytes, more is cut
};

// With everything cut to what the API takes, and to valid UTF-8.
Event Bounded(Event event);

}  // namespace backfill::kube
