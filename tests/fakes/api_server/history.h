#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "tests/fakes/api_server/json_text.h"
#include "tests/fakes/api_server/kinds.h"

namespace backfill::fakes {

using JsonPtr = std::shared_ptr<const Json>;
// By "namespace/name", in the order in which etcd has them.
using ObjectMap = std::map<std::string, JsonPtr>;

// What one write did.
struct StoredChange {
  std::uint64_t version = 0;
  const FakeKind* kind = nullptr;
  std::string key;
  JsonPtr object;  // null: deleted; `last` has its last state under the version of its deletion
  JsonPtr before;  // null: created
  JsonPtr last;
};

// Objects of all kinds under one version counter, and how they came to be, as far back as the
// window reaches. Not thread-safe. Objects never change once they are in.
class History {
 public:
  // `window`: how many changes are remembered.
  explicit History(std::size_t window) : window_(window) {}

  [[nodiscard]] std::uint64_t version() const { return version_; }
  // Nothing before this version can be listed exactly or watched from.
  [[nodiscard]] std::uint64_t compacted() const { return compacted_; }
  // Changes up to this one are forgotten. Compaction alone forgets none: open watches go on, as
  // they are served from a cache.
  [[nodiscard]] std::uint64_t forgotten() const { return forgotten_; }
  void Compact(std::uint64_t version);
  // Versions that were used elsewhere: gaps are normal.
  void Skip(std::uint64_t versions) { version_ += versions; }

  // null: none.
  [[nodiscard]] JsonPtr Find(const FakeKind& kind, const std::string& key) const;
  [[nodiscard]] const ObjectMap& All(const FakeKind& kind) const;
  // As it was; the version must not lie before the window.
  [[nodiscard]] ObjectMap AllAt(const FakeKind& kind, std::uint64_t version) const;

  // Both give the object its version.
  JsonPtr Put(const FakeKind& kind, const std::string& key, Json object);
  JsonPtr Erase(const FakeKind& kind, const std::string& key, Json last);

  // The first change after `version`; end() if there is none.
  [[nodiscard]] std::deque<StoredChange>::const_iterator After(std::uint64_t version) const;
  [[nodiscard]] std::deque<StoredChange>::const_iterator end() const { return changes_.end(); }

 private:
  void Remember(StoredChange change);

  const std::size_t window_;
  std::uint64_t version_ = 100;  // as of a server that has been used
  std::uint64_t compacted_ = 0;
  std::uint64_t forgotten_ = 0;
  std::map<const FakeKind*, ObjectMap> objects_;
  std::deque<StoredChange> changes_;
};

}  // namespace backfill::fakes
