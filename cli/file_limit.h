#pragma once

#include <cstdint>

#include "base/result.h"

namespace backfill::cli {

// Open files that a runner and each of its workers need, generously.
std::uint64_t FilesNeeded(int workers, int concurrency);

// Raises this process's limit of open files to what the system allows. kInvalid: even that is less
// than `needed`; the message says how to get more.
Status RaiseFileLimit(std::uint64_t needed);

}  // namespace backfill::cli
