#include "tests/fakes/api_server/history.h"

#include <algorithm>

namespace backfill::fakes {

void History::Compact(std::uint64_t version) {
  compacted_ = std::max(compacted_, std::min(version, version_));
}

JsonPtr History::Find(const FakeKind& kind, const std::string& key) const {
  const ObjectMap& all = All(kind);
  const auto it = all.find(key);
  return it == all.end() ? nullptr : it->second;
}

const ObjectMap& History::All(const FakeKind& kind) const {
  static const ObjectMap kNone;
  const auto it = objects_.find(&kind);
  return it == objects_.end() ? kNone : it->second;
}

ObjectMap History::AllAt(const FakeKind& kind, std::uint64_t version) const {
  ObjectMap objects = All(kind);
  for (auto it = changes_.rbegin(); it != changes_.rend() && it->version > version; ++it) {
    if (it->kind != &kind) continue;
    if (it->before == nullptr) {
      objects.erase(it->key);
    } else {
      objects[it->key] = it->before;
    }
  }
  return objects;
}

JsonPtr History::Put(const FakeKind& kind, const std::string& key, Json object) {
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  JsonPtr& slot = objects_[&kind][key];
  StoredChange change{.version = version_,
                      .kind = &kind,
                      .key = key,
                      .object = std::make_shared<const Json>(std::move(object)),
                      .before = slot,
                      .last = nullptr};
  slot = change.object;
  JsonPtr stored = change.object;
  Remember(std::move(change));
  return stored;
}

JsonPtr History::Erase(const FakeKind& kind, const std::string& key, Json last) {
  last["metadata"]["resourceVersion"] = std::to_string(++version_);
  ObjectMap& objects = objects_[&kind];
  const auto it = objects.find(key);
  StoredChange change{.version = version_,
                      .kind = &kind,
                      .key = key,
                      .object = nullptr,
                      .before = it == objects.end() ? nullptr : it->second,
                      .last = std::make_shared<const Json>(std::move(last))};
  if (it != objects.end()) objects.erase(it);
  JsonPtr gone = change.last;
  Remember(std::move(change));
  return gone;
}

std::deque<StoredChange>::const_iterator History::After(std::uint64_t version) const {
  return std::ranges::upper_bound(changes_, version, {}, &StoredChange::version);
}

void History::Remember(StoredChange change) {
  changes_.push_back(std::move(change));
  if (changes_.size() <= window_) return;
  forgotten_ = changes_.front().version;
  changes_.pop_front();
  Compact(forgotten_);
}

}  // namespace backfill::fakes
