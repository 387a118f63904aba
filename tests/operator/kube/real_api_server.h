#pragma once

#include <memory>
#include <string>

#include "tests/operator/kube/api_server_under_test.h"

namespace backfill::kube {

// The API server that BACKFILL_TEST_KUBECONFIG names, with the CRDs of this project installed.
// null: there is none, `why_not` says why.
std::unique_ptr<ApiServerUnderTest> MakeRealApiServer(std::string& why_not);

}  // namespace backfill::kube
