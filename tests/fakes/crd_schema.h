#pragma once

#include <memory>
#include <string_view>

#include "tests/fakes/api_server/object_schema.h"

namespace backfill::fakes {

// What an API server with our CRDs makes of an object, decided by operator/api: pruning, defaults,
// structure, limits and the twins of the CEL rules. The paths and the words of rules are those of
// the real server; of structure and limits the words are the product's.
std::shared_ptr<const ObjectSchema> BackfillSchema();

// Of another CRD without rules. Ends the process if it cannot be read.
std::shared_ptr<const ObjectSchema> SchemaOfCrd(std::string_view crd_yaml);

}  // namespace backfill::fakes
