#pragma once

#include <string>

#include "rows/row_scanner.h"

namespace backfill::rows {

// What any format finds wrong with a row before it looks into it: kTooLong, kUtf8, kQuotes.
Fault FaultOf(const RowBatch& batch, const Row& row);

// "line 17: " and, of these three faults, what is wrong.
std::string AtLine(const Row& row);
std::string ProblemOf(Fault fault, const Row& row);

}  // namespace backfill::rows
