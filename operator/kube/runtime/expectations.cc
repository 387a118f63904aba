#include "operator/kube/runtime/expectations.h"

#include <utility>

namespace backfill::kube {

void Expectations::Expect(const ObjectKey& owner, const ExpectedChange& change, Time now) {
  Lower(change);  // of an earlier owner, or an earlier try
  if (changes_.size() >= options_.max_changes) return;
  changes_[change] = {.owner = owner, .since = now};
  by_owner_[owner].insert(change);
}

void Expectations::Lower(const ExpectedChange& change) {
  const auto found = changes_.find(change);
  if (found != changes_.end()) Erase(found);
}

void Expectations::Forget(const ObjectKey& owner) {
  const auto found = by_owner_.find(owner);
  if (found == by_owner_.end()) return;
  for (const ExpectedChange& change : found->second) changes_.erase(change);
  by_owner_.erase(found);
}

void Expectations::OnAdded(std::string_view resource, const ObjectKey& object) {
  Lower({.kind = ExpectedChange::Kind::kCreated,
         .resource = std::string(resource),
         .object = object,
         .uid = {}});
}

void Expectations::OnDeleted(std::string_view resource, const ObjectKey& object,
                             std::string_view uid) {
  Lower({.kind = ExpectedChange::Kind::kDeleted,
         .resource = std::string(resource),
         .object = object,
         .uid = std::string(uid)});
  OnAdded(resource, object);  // it has been there
}

bool Expectations::Fulfilled(const ObjectKey& owner, Time now) {
  const auto found = by_owner_.find(owner);
  if (found == by_owner_.end()) return true;
  const std::set<ExpectedChange> waited = found->second;
  for (const ExpectedChange& change : waited) {
    const auto at = changes_.find(change);
    if (now - at->second.since >= options_.patience) Erase(at);
  }
  return !by_owner_.contains(owner);
}

void Expectations::Erase(Changes::iterator change) {
  const auto owner = by_owner_.find(change->second.owner);
  owner->second.erase(change->first);
  if (owner->second.empty()) by_owner_.erase(owner);
  changes_.erase(change);
}

}  // namespace backfill::kube
