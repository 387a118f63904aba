#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/fakes/api_server/call.h"
#include "tests/fakes/api_server/history.h"
#include "tests/fakes/api_server/selector.h"

namespace backfill::fakes {

// Objects and what requests make of them: the API server without time, threads and faults. The same
// calls on the same seed give the same bytes. Not thread-safe.
class ApiState {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::vector<std::string> namespaces;
    bool collect_at_once = false;  // dependents go with their owner, not some time later
    std::size_t window = 20'000;   // changes that are remembered
  };
  explicit ApiState(const Options& options);

  // get and list. A read that may be stale sees nothing after `visible`.
  kube::HttpResponse Read(const ApiCall& call, std::uint64_t visible);
  // create, update, patch, delete, deletecollection.
  kube::HttpResponse Write(const ApiCall& call, const kube::HttpRequest& request, WallTime now);

  // What a garbage collector does when it gets round to it: deletes what has lost its owners, ends
  // foreground deletions and orphanings, empties namespaces that are going away.
  void CollectGarbage(WallTime now);

  // nullptr: the path names nothing that is served.
  [[nodiscard]] const FakeKind* KindOf(const ApiCall& call) const;
  History& history() { return history_; }
  [[nodiscard]] const History& history() const { return history_; }
  KindTable& kinds() { return kinds_; }

 private:
  using Warnings = std::vector<std::string>;

  // api_reads.cc
  Answer<Json> GetObject(const FakeKind& kind, const ApiCall& call, std::uint64_t visible);
  Answer<Json> ListObjects(const FakeKind& kind, const ApiCall& call, std::uint64_t visible);
  struct Snapshot {
    ObjectMap objects;
    std::uint64_t version = 0;
    std::string after;  // the key after which the page begins
  };
  Answer<Snapshot> SnapshotFor(const FakeKind& kind, const ApiCall& call, std::uint64_t visible);
  Answer<Snapshot> Continued(const FakeKind& kind, const ApiCall& call);

  // api_writes.cc
  Answer<Json> Create(const FakeKind& kind, const ApiCall& call, const std::string& body,
                      WallTime now, Warnings& warnings);
  Answer<Json> Update(const FakeKind& kind, const ApiCall& call, const std::string& body,
                      WallTime now, Warnings& warnings);
  Answer<Json> Patch(const FakeKind& kind, const ApiCall& call, const kube::HttpRequest& request,
                     WallTime now, Warnings& warnings);
  // Stores what shall stand in the place of `current`, if it may and if it differs.
  Answer<Json> Replace(const FakeKind& kind, const ApiCall& call, const Json& current, Json next,
                       Warnings& warnings);
  Answer<Json> Judged(const FakeKind& kind, const ApiCall& call, const Json& object,
                      const Json* before, Warnings& warnings);
  Answer<Ok> CheckNamespace(const FakeKind& kind, const ApiCall& call, const std::string& name);
  std::string NewUid();

  // api_deletes.cc
  Answer<Json> Delete(const FakeKind& kind, const ApiCall& call, const std::string& body,
                      WallTime now);
  Answer<Json> DeleteCollection(const FakeKind& kind, const ApiCall& call, const std::string& body,
                                WallTime now);
  // One object; `policy` is Orphan, Background, Foreground or "" (the kind's default).
  Json DeleteOne(const FakeKind& kind, const std::string& key, const std::string& policy,
                 std::int64_t grace_seconds, WallTime now);
  bool CollectOnce(WallTime now);
  bool CollectObject(const FakeKind& kind, const std::string& key, const JsonPtr& object,
                     const std::map<std::string, JsonPtr>& by_uid, WallTime now);

  const bool collect_at_once_;
  KindTable kinds_;
  History history_;
  std::mt19937_64 random_;
};

// "shop/reprice"; of kinds without a namespace "/name".
std::string KeyOf(const std::string& ns, const std::string& name);

// The namespace of a key.
std::string NamespaceOf(const std::string& key);

}  // namespace backfill::fakes
