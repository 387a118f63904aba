// The contract's server: a real one.

#include "tests/operator/kube/real_api_server.h"

namespace backfill::kube {

ServerKind ServerOfThisBinary() { return {"Real", MakeRealApiServer}; }

}  // namespace backfill::kube
