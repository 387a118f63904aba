#pragma once

#include <cstddef>

#include "operator/api/node.h"

namespace backfill::api {

// What is allowed but worth a second look before it runs. `text_bytes` is the size of the file.
void FindRisks(const Node& root, std::size_t text_bytes, Problems& risks);

}  // namespace backfill::api
