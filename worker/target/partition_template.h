#pragma once

#include <string_view>

#include "base/result.h"
#include "worker/engine/partitions.h"
#include "worker/target/request_template.h"

namespace backfill::worker {

// A template such as {{fields.region}}, compiled once, that names the partition of a record: the
// values as they stand, without any escaping, since that is how a metric's label has them. Knows
// {{key}}, {{fields.NAME}}, {{backfill.name}} and {{backfill.uid}}. What it gives is at most a
// little longer than a partition's name may be. kInvalid: it does not compile, or names what there
// is not.
Result<PartitionOf> CompilePartitionTemplate(std::string_view text, const TemplateNames& names);

}  // namespace backfill::worker
