#pragma once

#include <string>

#include "base/result.h"

namespace backfill::observe {

// Whether this can name credentials that were mounted into the operator: the name of a folder, and
// never a way out of it. Empty: none are needed. kInvalid. Pure.
Status CheckCredentialName(const std::string& name);

}  // namespace backfill::observe
