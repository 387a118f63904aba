#include "tests/fakes/api_server/api_state.h"

#include "tests/fakes/api_server/meta_rules.h"

namespace backfill::fakes {

ApiState::ApiState(const Options& options)
    : collect_at_once_(options.collect_at_once), history_(options.window), random_(options.seed) {
  const FakeKind& namespaces = *kinds_.Find("", "v1", "namespaces");
  for (const std::string& name : options.namespaces) {
    history_.Put(namespaces, KeyOf("", name),
                 Json{{"apiVersion", "v1"},
                      {"kind", "Namespace"},
                      {"metadata", {{"name", name}, {"uid", NewUid()}}},
                      {"status", {{"phase", "Active"}}}});
  }
}

const FakeKind* ApiState::KindOf(const ApiCall& call) const {
  const FakeKind* kind = kinds_.Find(call.group, call.version, call.plural);
  if (kind == nullptr) return nullptr;
  if (!kind->namespaced && !call.ns.empty()) return nullptr;
  const bool named = !call.name.empty() || call.verb == "create" || call.verb == "deletecollection";
  if (kind->namespaced && call.ns.empty() && named) return nullptr;
  if (call.subresource.empty()) return kind;
  return call.subresource == "status" && kind->status ? kind : nullptr;
}

std::string ApiState::NewUid() {
  const std::uint64_t high = random_();
  return UidOf(high, random_());
}

std::string KeyOf(const std::string& ns, const std::string& name) { return ns + "/" + name; }

std::string NamespaceOf(const std::string& key) { return key.substr(0, key.find('/')); }

}  // namespace backfill::fakes
