#pragma once

#include <string>
#include <string_view>

#include "operator/api/schema.h"

namespace backfill::api {

// The files as they were when the binary was built.
std::string_view CrdText();
std::string_view ObjectMetaText();

// What the CRD says of the kind Backfill: the schema of the whole object, metadata included.
struct Crd {
  std::string api_version;  // backfill.dev/v1alpha1
  std::string kind;
  Schema schema;
};

// Errors (kInvalid) name what is not understood.
Result<Crd> ReadCrd(std::string_view crd, std::string_view object_meta);

// The embedded one, read on first use and constant from then on. Thread-safe. Ends the process if
// it cannot be read.
const Crd& BackfillCrd();

}  // namespace backfill::api
