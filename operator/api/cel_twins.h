#pragma once

#include <string_view>
#include <vector>

#include "operator/api/node.h"
#include "operator/api/schema.h"

namespace backfill::api {

// For each CEL rule of the CRD a C++ function that decides the same, found by the rule's text:
// whoever changes the one must look at the other, or a test fails. The messages are the CRD's. A
// twin holds where it cannot judge (a field is absent or of the wrong type: the schema has said
// so).

// Runs the rules that look at one version of the object.
void CheckRules(const Schema& schema, const Node& node, Problems& problems);

// Runs the rules that compare with the version before.
void CheckTransition(const Schema& schema, const Node& node, const Node& before,
                     Problems& problems);

// The texts of all rules that have a twin.
std::vector<std::string_view> TwinRules();

}  // namespace backfill::api
