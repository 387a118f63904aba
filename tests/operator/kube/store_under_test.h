#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "operator/kube/object_store.h"

namespace backfill::kube {

// In what stores differ by nature; all else is the same for each of them.
struct StoreNature {
  // Of kMaxObjectBytes, what it needs for itself.
  std::size_t room = 100;
  // Names of labels and annotations may be any text.
  bool any_label = true;
  // What an object owns goes with it (zero), or after it, and then within this time.
  Duration collects_within{0};
};

// A store that is empty but for what others have in it, with the namespaces shop, other and bar.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  [[nodiscard]] virtual ObjectStore& store() = 0;
  // By which it says when an object was created.
  [[nodiscard]] virtual const Clock& clock() = 0;
  [[nodiscard]] virtual StoreNature nature() const { return {}; }
  // Neither made by a test nor to be looked at by one.
  [[nodiscard]] virtual bool IsOfOthers(const ObjectRef& /*ref*/) const { return false; }
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>()> make;
  friend void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }
};
// Ours in one binary, a real API server's in another. gtest asks once for each test of the suite.
std::vector<StoreKind> StoresOfThisBinary();

}  // namespace backfill::kube
