#pragma once

#include <string_view>

#include "rows/format.h"

namespace backfill::fuzz {

// Of any file: however it comes in and wherever it is cut, planning and the shards have the same
// rows, good or bad; lines and columns are those that a reader of one byte at a time finds; JSON is
// what another parser takes for JSON.
void RequireRowsAgree(std::string_view file, const rows::FileFormat& format);

}  // namespace backfill::fuzz
