#pragma once

#include <string>

#include "operator/api/backfill.h"

namespace backfill::cli {

// One sentence for people: what keeps a backfill that is under way from sending more. Of what its
// status says alone, so it is the same here and on a cluster. Empty: it is not under way, which
// its phase says, or sends as much as it can without any limit. Pure.
std::string WhyNotFaster(const api::Status& status);

}  // namespace backfill::cli
