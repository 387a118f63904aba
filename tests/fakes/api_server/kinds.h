#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/api_server/object_schema.h"

namespace backfill::fakes {

// What the fake must know of a kind to treat it as the API server does.
struct FakeKind {
  std::string group = {};  // "" is the core group
  std::string version = {};
  std::string plural = {};
  std::string kind = {};
  bool namespaced = true;
  bool status = false;          // has the subresource /status
  bool custom = false;          // comes from a CRD
  bool generation = false;      // counts changes of what is wanted
  bool created_by_put = false;  // a PUT of what is not there makes it
  bool blind_update = true;     // PUT without a version is taken
  // Unless the request says what becomes of dependents, they are left alone (Jobs, for ever).
  bool orphans = false;
  std::shared_ptr<const ObjectSchema> schema = {};  // null: anything is taken

  [[nodiscard]] std::string api_version() const {
    return group.empty() ? version : group + "/" + version;
  }
};

// The kinds that the product uses; references stay valid.
class KindTable {
 public:
  KindTable();
  // nullptr: not served.
  [[nodiscard]] const FakeKind* Find(std::string_view group, std::string_view version,
                                     std::string_view plural) const;
  [[nodiscard]] const FakeKind* FindByPlural(std::string_view plural) const;
  // Adds a kind, or replaces what is known of it.
  void Serve(FakeKind kind);
  [[nodiscard]] const std::deque<FakeKind>& all() const { return kinds_; }

 private:
  std::deque<FakeKind> kinds_;
};

}  // namespace backfill::fakes
