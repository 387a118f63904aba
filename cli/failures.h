#pragma once

#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/place.h"
#include "operator/api/backfill.h"
#include "operator/ledger/failure_log.h"

namespace backfill::cli {

struct FailuresOptions {
  std::string name;
  std::string output = "text";  // text, json: one object a line
  Place place;
};

// Prints the records that failed: of the dry run while the backfill is one, of the real run after
// that.
int RunFailures(const FailuresOptions& options, const Environment& env);

Result<std::vector<ledger::FailedRecord>> ReadFailuresOf(kube::ObjectStore& store,
                                                         const api::Backfill& backfill);

// The spec with the keys that its source.failuresOf names, as reconcile::ResolveSource().
Result<api::Spec> ResolveFailures(kube::ObjectStore& store, const api::Backfill& backfill);

std::string FailuresToTable(const std::vector<ledger::FailedRecord>& failures);
std::string FailuresToJsonLines(const std::vector<ledger::FailedRecord>& failures);

}  // namespace backfill::cli
