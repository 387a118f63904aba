#pragma once

#include <memory>

#include "tests/operator/kube/store_under_test.h"

namespace backfill::kube {

std::unique_ptr<StoreUnderTest> MakeMemoryStore();
std::unique_ptr<StoreUnderTest> MakeSqliteStore();
std::unique_ptr<StoreUnderTest> MakeStoreOnFake();

}  // namespace backfill::kube
