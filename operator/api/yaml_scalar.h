#pragma once

#include <string>

#include "operator/api/node.h"

namespace backfill::api {

// What a plain (unquoted) scalar stands for by the core schema of YAML 1.2. Numbers that other
// programs read in another way (010, 0x1F, 1_000, no) are kAmbiguous: nobody should have to know
// which YAML a tool speaks.
Node PlainScalar(std::string text);

}  // namespace backfill::api
