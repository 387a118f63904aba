#include "tests/operator/kube/local_stores.h"

#include <gtest/gtest.h>

#include <utility>

#include "operator/kube/api_store.h"
#include "operator/kube/sqlite_store.h"
#include "tests/fakes/fake_api_server.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/memory_store.h"
#include "tests/operator/kube/temp_dir.h"

namespace backfill::kube {
namespace {

class InMemory final : public StoreUnderTest {
 public:
  ObjectStore& store() override { return store_; }
  const Clock& clock() override { return clock_; }

 private:
  fakes::ManualClock clock_;
  fakes::MemoryStore store_{&clock_};
};

class InSqlite final : public StoreUnderTest {
 public:
  InSqlite() {
    auto store = SqliteStore::Open(dir_.path() / "backfill.db", {.clock = &clock_});
    if (!store.ok()) ADD_FAILURE() << store.error().message;
    store_ = std::move(store).value();
  }
  ObjectStore& store() override { return *store_; }
  const Clock& clock() override { return clock_; }

 private:
  const TempDir dir_;
  fakes::ManualClock clock_;
  std::unique_ptr<ObjectStore> store_;
};

class OnFake final : public StoreUnderTest {
 public:
  ObjectStore& store() override { return store_; }
  const Clock& clock() override { return clock_; }
  [[nodiscard]] StoreNature nature() const override { return {.room = 2000, .any_label = false}; }

 private:
  static fakes::FakeApiServer::Options Options() {
    fakes::FakeApiServer::Options options;
    options.collect_at_once = true;
    options.namespaces = {"shop", "other", "bar"};
    return options;
  }
  fakes::ManualClock clock_;
  fakes::FakeApiServer server_{clock_, Options()};
  ApiStore store_{server_, server_, clock_, ApiStore::Options{}};
};

}  // namespace

std::unique_ptr<StoreUnderTest> MakeMemoryStore() { return std::make_unique<InMemory>(); }
std::unique_ptr<StoreUnderTest> MakeSqliteStore() { return std::make_unique<InSqlite>(); }
std::unique_ptr<StoreUnderTest> MakeStoreOnFake() { return std::make_unique<OnFake>(); }

std::vector<StoreKind> StoresOfThisBinary() {
  return {{"Memory", MakeMemoryStore}, {"Sqlite", MakeSqliteStore}, {"Api", MakeStoreOnFake}};
}

}  // namespace backfill::kube
