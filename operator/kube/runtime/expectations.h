#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "operator/kube/client/api_object.h"

namespace backfill::kube {

// A change of a child that was asked for, and that the cache will show.
struct ExpectedChange {
  enum class Kind { kCreated, kDeleted };
  Kind kind = Kind::kCreated;
  std::string resource;  // plural
  ObjectKey object;
  std::string uid;  // kDeleted: of which one
  auto operator<=>(const ExpectedChange&) const = default;
};

// Which changes of its children a key still waits for: client-go's ControllerExpectations, by name
// instead of by number, so that an event which comes twice, or of somebody else's doing, does not
// count for another. Set before the call, since the event may come before the answer; lowered when
// the call fails; dropped with their owner; forgotten after 5 min, as a watch may merge a creation
// and a deletion into nothing (R21).
//
// Pure, not thread-safe.
class Expectations {
 public:
  struct Options {
    Duration patience = std::chrono::minutes(5);
    std::size_t max_changes = 100'000;  // more are not waited for
  };

  explicit Expectations(const Options& options) : options_(options) {}

  void Expect(const ObjectKey& owner, const ExpectedChange& change, Time now);
  void Lower(const ExpectedChange& change);
  void Forget(const ObjectKey& owner);

  // From the cache, whosever child it is.
  void OnAdded(std::string_view resource, const ObjectKey& object);
  void OnDeleted(std::string_view resource, const ObjectKey& object, std::string_view uid);

  // Nothing is waited for, or for too long by now.
  bool Fulfilled(const ObjectKey& owner, Time now);

  [[nodiscard]] std::size_t size() const { return changes_.size(); }

 private:
  struct Waiting {
    ObjectKey owner;
    Time since{};
  };
  using Changes = std::map<ExpectedChange, Waiting>;
  void Erase(Changes::iterator change);

  const Options options_;
  Changes changes_;
  std::map<ObjectKey, std::set<ExpectedChange>> by_owner_;
};

}  // namespace backfill::kube
