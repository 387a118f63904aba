#pragma once

#include "operator/api/node.h"

namespace backfill::api {

// Rules about the requests of spec.target.http and its dryRun that CEL cannot express: templates
// compile and name what there is, the url is an address, headers are headers. Header values never
// appear in a message.
void CheckRequests(const Node& root, Problems& problems);

}  // namespace backfill::api
