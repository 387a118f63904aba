#include "rows/row_faults.h"

namespace backfill::rows {

std::string AtLine(const Row& row) { return "line " + std::to_string(row.line) + ": "; }

std::string ProblemOf(Fault fault, const Row& row) {
  if (fault == Fault::kTooLong) {
    return AtLine(row) + "the row that begins here is longer than " +
           std::to_string(kMaxRowBytes >> 20) + " MiB";
  }
  if (fault == Fault::kUtf8) return AtLine(row) + "not UTF-8";
  if (row.unclosed) return AtLine(row) + "a quote that is opened here is never closed";
  return AtLine(row) + "a quote inside an unquoted column, or text behind a closing quote";
}

}  // namespace backfill::rows
