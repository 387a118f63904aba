#pragma once

#include "operator/api/backfill.h"
#include "rows/format.h"
#include "rows/http_source.h"

namespace backfill::reconcile {

// How a source file is read, for planner and workers alike. Of an NdJson file the fields are the
// members that templates of the spec name.
rows::FileFormat FormatOf(const api::FileSource& source, const api::Spec& spec);

// How it is reached, if it is behind a URL.
rows::HttpOptions HttpOptionsOf(const api::FileSource& source);

}  // namespace backfill::reconcile
