#include "tests/operator/kube/local_stores.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

#include "tests/operator/kube/store_under_test.h"

namespace backfill::kube {
namespace {

// The stores agree with each other on every history, errors included.
TEST(StoresTest, AgreeOnRandomHistories) {
  EXPECT_TRUE(rc::check([] {
    const auto memory = MakeMemoryStore();
    const auto sqlite = MakeSqliteStore();
    const int steps = *rc::gen::inRange(1, 25);
    for (int i = 0; i < steps; ++i) {
      const std::string name(1, *rc::gen::element('a', 'b', 'c'));
      const ObjectRef ref{.kind = std::string(kBackfillKind), .ns = "shop", .name = name};
      Object wanted;
      wanted.ref = ref;
      wanted.content = *rc::gen::element<std::string>("0", "1", "2");
      wanted.status = *rc::gen::element<std::string>("", "x", "y");
      const auto current = memory->store().Get(ref);
      wanted.resource_version =
          current.ok() && *rc::gen::inRange(0, 4) != 0 ? current->resource_version : "1";
      Result<Object> in_memory = Error{};
      Result<Object> in_sqlite = Error{};
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
          in_memory = memory->store().Create(wanted, Durability::kProcess);
          in_sqlite = sqlite->store().Create(wanted, Durability::kProcess);
          break;
        case 1:
          in_memory = memory->store().Update(wanted, Durability::kProcess);
          in_sqlite = sqlite->store().Update(wanted, Durability::kProcess);
          break;
        case 2:
          in_memory = memory->store().UpdateStatus(wanted, Durability::kProcess);
          in_sqlite = sqlite->store().UpdateStatus(wanted, Durability::kProcess);
          break;
        default: {
          const Status a = memory->store().Delete(ref, "");
          const Status b = sqlite->store().Delete(ref, "");
          RC_ASSERT(a.ok() == b.ok());
          continue;
        }
      }
      RC_ASSERT(in_memory.ok() == in_sqlite.ok());
      if (in_memory.ok()) {
        RC_ASSERT(in_memory->resource_version == in_sqlite->resource_version);
        RC_ASSERT(in_memory->generation == in_sqlite->generation);
        RC_ASSERT(in_memory->content == in_sqlite->content);
        RC_ASSERT(in_memory->status == in_sqlite->status);
      } else {
        RC_ASSERT(in_memory.error().code == in_sqlite.error().code);
        RC_ASSERT(in_memory.error().message == in_sqlite.error().message);
      }
    }
    RC_ASSERT(memory->store().List(kBackfillKind, "")->size() ==
              sqlite->store().List(kBackfillKind, "")->size());
  }));
}

}  // namespace
}  // namespace backfill::kube
