#pragma once

#include <string>

#include "rows/row_scanner.h"
#include "rows/utf8.h"

namespace backfill::rows {

// What any format finds wrong with a row before it looks into it: kTooLong, kUtf8, kQuotes.
inline Fault FaultOf(const RowBatch& batch, const Row& row) {
  if (row.fault != Fault::kNone) return row.fault;
  if (!batch.utf8 && !IsUtf8(batch.Text(row))) return Fault::kUtf8;
  return Fault::kNone;
}

// "line 17: " and, of these three faults, what is wrong.
std::string AtLine(const Row& row);
std::string ProblemOf(Fault fault, const Row& row);

}  // namespace backfill::rows
