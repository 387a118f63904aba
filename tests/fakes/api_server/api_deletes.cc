#include <algorithm>

#include "tests/fakes/api_server/api_state.h"

namespace backfill::fakes {
namespace {

constexpr const char* kForeground = "foregroundDeletion";
constexpr const char* kOrphan = "orphan";
constexpr std::int64_t kNoGrace = -1;
constexpr std::int64_t kPodGraceSeconds = 30;

struct DeleteOptions {
  std::string uid, version, policy;
  std::int64_t grace_seconds = kNoGrace;
};

Answer<DeleteOptions> OptionsOf(const ApiCall& call, const std::string& body) {
  DeleteOptions options;
  options.policy = call.Option("propagationPolicy");
  if (const auto grace = TRY(call.Number("gracePeriodSeconds"))) {
    options.grace_seconds = static_cast<std::int64_t>(*grace);
  }
  if (!body.empty()) {
    const auto json = ParseJson(body);
    if (!json || !json->is_object())
      return BadRequest("couldn't get version/kind; json parse error");
    options.uid = TextAt(*json, {"preconditions", "uid"});
    options.version = TextAt(*json, {"preconditions", "resourceVersion"});
    if (const std::string policy = TextAt(*json, {"propagationPolicy"}); !policy.empty()) {
      options.policy = policy;
    }
    if (const Json* grace = At(*json, {"gracePeriodSeconds"});
        grace != nullptr && grace->is_number_integer()) {
      options.grace_seconds = grace->get<std::int64_t>();
    }
  }
  if (!options.policy.empty() && options.policy != "Orphan" && options.policy != "Background" &&
      options.policy != "Foreground") {
    const FakeKind kind{.group = "meta.k8s.io", .kind = "DeleteOptions"};
    return Invalid(kind, "",
                   {{.reason = "FieldValueNotSupported",
                     .field = "propagationPolicy",
                     .message = "Unsupported value: \"" + options.policy +
                                "\": supported values: \"Foreground\", \"Background\", \"Orphan\", "
                                "\"nil\""}});
  }
  return options;
}

bool HasFinalizer(const Json& object, std::string_view name) {
  const Json* list = At(object, {"metadata", "finalizers"});
  return list != nullptr && std::ranges::any_of(*list, [&](const Json& finalizer) {
           return finalizer.is_string() && finalizer.get_ref<const std::string&>() == name;
         });
}

void AddFinalizer(Json& object, const char* name) {
  if (HasFinalizer(object, name)) return;
  Json& list = object["metadata"]["finalizers"];
  if (!list.is_array()) list = Json::array();
  list.push_back(name);
}

bool IsDeleting(const Json& object) {
  return At(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

const Json& OwnersOf(const Json& object) {
  static const Json kNone = Json::array();
  const Json* owners = At(object, {"metadata", "ownerReferences"});
  return owners == nullptr || !owners->is_array() ? kNone : *owners;
}

Json Success(const FakeKind& kind, const Json& gone) {
  Json details{{"name", TextAt(gone, {"metadata", "name"})},
               {"kind", kind.plural},
               {"uid", TextAt(gone, {"metadata", "uid"})}};
  if (!kind.group.empty()) details["group"] = kind.group;
  return Json{{"kind", "Status"},
              {"apiVersion", "v1"},
              {"metadata", Json::object()},
              {"status", "Success"},
              {"details", std::move(details)}};
}

}  // namespace

Answer<Json> ApiState::Delete(const FakeKind& kind, const ApiCall& call, const std::string& body,
                              WallTime now) {
  const std::string key = KeyOf(call.ns, call.name);
  const DeleteOptions options = TRY(OptionsOf(call, body));
  const JsonPtr current = history_.Find(kind, key);
  if (current == nullptr) return NotFound(kind, call.name);
  const std::string uid = TextAt(*current, {"metadata", "uid"});
  if (!options.uid.empty() && options.uid != uid) {
    return NotAsExpected(kind, call.name, "UID", options.uid, uid);
  }
  const std::string version = TextAt(*current, {"metadata", "resourceVersion"});
  if (!options.version.empty() && options.version != version) {
    return NotAsExpected(kind, call.name, "ResourceVersion", options.version, version);
  }
  if (call.Option("dryRun") == "All") return *current;
  return DeleteOne(kind, key, options.policy, options.grace_seconds, now);
}

Answer<Json> ApiState::DeleteCollection(const FakeKind& kind, const ApiCall& call,
                                        const std::string& body, WallTime now) {
  const DeleteOptions options = TRY(OptionsOf(call, body));
  const Selector selector = TRY(Selector::Parse(call, kind));
  Json items = Json::array();
  const ObjectMap all = history_.All(kind);
  for (const auto& [key, object] : all) {
    if (NamespaceOf(key) != call.ns || !selector.Matches(*object)) continue;
    items.push_back(*object);
    DeleteOne(kind, key, options.policy, options.grace_seconds, now);
  }
  return Json{{"kind", kind.kind + "List"},
              {"apiVersion", kind.api_version()},
              {"metadata", {{"resourceVersion", std::to_string(history_.version())}}},
              {"items", std::move(items)}};
}

Json ApiState::DeleteOne(const FakeKind& kind, const std::string& key, const std::string& policy,
                         std::int64_t grace_seconds, WallTime now) {
  const JsonPtr current = history_.Find(kind, key);
  Json next = *current;
  const bool orphan = policy == "Orphan" || (policy.empty() && kind.orphans);
  if (orphan) AddFinalizer(next, kOrphan);
  if (policy == "Foreground") AddFinalizer(next, kForeground);
  // A pod on a node ends when its node says so.
  std::int64_t grace = 0;
  if (kind.kind == "Pod" && !TextAt(next, {"spec", "nodeName"}).empty()) {
    grace = grace_seconds == kNoGrace ? kPodGraceSeconds : grace_seconds;
  }
  const bool is_namespace = kind.kind == "Namespace";
  const Json* finalizers = At(next, {"metadata", "finalizers"});
  const bool held = (finalizers != nullptr && !finalizers->empty()) || grace > 0 || is_namespace;
  if (!held)
    return kind.kind == "Pod" ? *history_.Erase(kind, key, std::move(next))
                              : Success(kind, *history_.Erase(kind, key, std::move(next)));
  Json& meta = next["metadata"];
  if (!IsDeleting(*current)) {
    meta["deletionTimestamp"] = FormatWallTime(now);
    meta["deletionGracePeriodSeconds"] = grace;
    if (meta.contains("generation")) meta["generation"] = meta.value("generation", 0) + 1;
  } else if (grace == 0) {
    meta["deletionGracePeriodSeconds"] = 0;
  }
  if (is_namespace) next["status"] = Json{{"phase", "Terminating"}};
  if (next == *current) return next;
  return *history_.Put(kind, key, std::move(next));
}

void ApiState::CollectGarbage(WallTime now) {
  // Each round deletes something, or it was the last.
  while (CollectOnce(now)) continue;
}

bool ApiState::CollectOnce(WallTime now) {
  std::map<std::string, JsonPtr> by_uid;
  for (const FakeKind& kind : kinds_.all()) {
    for (const auto& [key, object] : history_.All(kind)) {
      by_uid[TextAt(*object, {"metadata", "uid"})] = object;
    }
  }
  bool changed = false;
  for (const FakeKind& kind : kinds_.all()) {
    const ObjectMap all = history_.All(kind);
    for (const auto& [key, object] : all) {
      changed = CollectObject(kind, key, object, by_uid, now) || changed;
    }
  }
  return changed;
}

bool ApiState::CollectObject(const FakeKind& kind, const std::string& key, const JsonPtr& object,
                             const std::map<std::string, JsonPtr>& by_uid, WallTime now) {
  if (history_.Find(kind, key) != object) return false;  // it has changed in this round
  const std::uint64_t before = history_.version();
  const auto without = [&](const char* finalizer) {
    Json next = *object;
    Json& list = next["metadata"]["finalizers"];
    list.erase(std::remove(list.begin(), list.end(), Json(finalizer)), list.end());
    if (list.empty()) next["metadata"].erase("finalizers");
    if (next["metadata"].contains("finalizers") ||
        next["metadata"].value("deletionGracePeriodSeconds", 0) > 0) {
      history_.Put(kind, key, std::move(next));
    } else {
      history_.Erase(kind, key, std::move(next));
    }
  };
  const std::string uid = TextAt(*object, {"metadata", "uid"});
  const auto owned_by_this = [&](const Json& other) {
    return std::ranges::any_of(OwnersOf(other),
                               [&](const Json& owner) { return TextAt(owner, {"uid"}) == uid; });
  };

  // Owners that are going away.
  if (IsDeleting(*object) && HasFinalizer(*object, kOrphan)) {
    for (const FakeKind& other_kind : kinds_.all()) {
      const ObjectMap others = history_.All(other_kind);
      for (const auto& [other_key, other] : others) {
        if (!owned_by_this(*other)) continue;
        Json free = *other;
        Json& owners = free["metadata"]["ownerReferences"];
        owners.erase(std::remove_if(owners.begin(), owners.end(),
                                    [&](const Json& o) { return TextAt(o, {"uid"}) == uid; }),
                     owners.end());
        if (owners.empty()) free["metadata"].erase("ownerReferences");
        history_.Put(other_kind, other_key, std::move(free));
      }
    }
    without(kOrphan);
    return true;
  }
  if (IsDeleting(*object) && HasFinalizer(*object, kForeground)) {
    bool blocked = false;
    for (const auto& [other_uid, other] : by_uid) {
      if (!owned_by_this(*other)) continue;
      for (const Json& owner : OwnersOf(*other)) {
        blocked =
            blocked || (TextAt(owner, {"uid"}) == uid && owner.value("blockOwnerDeletion", false));
      }
    }
    if (!blocked) {
      without(kForeground);
      return true;
    }
  }
  if (IsDeleting(*object) && kind.kind == "Namespace") {
    const std::string ns = TextAt(*object, {"metadata", "name"});
    bool empty = true;
    for (const FakeKind& other_kind : kinds_.all()) {
      const ObjectMap others = history_.All(other_kind);
      for (const auto& [other_key, other] : others) {
        if (NamespaceOf(other_key) != ns) continue;
        DeleteOne(other_kind, other_key, "Background", kNoGrace, now);
        empty = empty && history_.Find(other_kind, other_key) == nullptr;
      }
    }
    if (empty) history_.Erase(kind, key, *object);
    return history_.version() != before;
  }

  // Dependents: they go once no owner is left, or the only ones left wait for them to go.
  const Json& owners = OwnersOf(*object);
  if (owners.empty() || IsDeleting(*object)) return false;
  const bool wanted = std::ranges::any_of(owners, [&](const Json& reference) {
    const auto it = by_uid.find(TextAt(reference, {"uid"}));
    if (it == by_uid.end()) return false;
    return !(IsDeleting(*it->second) && HasFinalizer(*it->second, kForeground));
  });
  if (wanted) return false;
  const bool waited_for = std::ranges::any_of(
      owners, [&](const Json& reference) { return by_uid.contains(TextAt(reference, {"uid"})); });
  DeleteOne(kind, key, waited_for ? "Foreground" : "Background", kNoGrace, now);
  return history_.version() != before;
}

}  // namespace backfill::fakes
