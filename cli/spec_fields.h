#pragma once

#include <cstddef>
#include <string>

namespace backfill::cli {

// Every field of a Backfill's spec with what it must be, its default and what it means, as the
// resource's schema says it. No line is longer than `columns`.
std::string DescribeSpecFields(std::size_t columns);

}  // namespace backfill::cli
