#include "rows/lines_parser.h"

#include "rows/key_rules.h"
#include "rows/row_faults.h"

namespace backfill::rows {

inline Fault LinesParser::Check(const RowBatch& batch, const Row& row) {
  if (const Fault fault = FaultOf(batch, row); fault != Fault::kNone) return fault;
  const std::string_view text = batch.Text(row);
  return (batch.plain ? IsPlainKey(text) : IsKey(text)) ? Fault::kNone : Fault::kKey;
}

std::span<const KeyOrFault> LinesParser::Keys(const RowBatch& batch) {
  keys_.clear();
  for (const Row& row : batch.rows) {
    const Fault fault = Check(batch, row);
    keys_.push_back(
        {.key = fault == Fault::kNone ? batch.Text(row) : std::string_view(), .fault = fault});
  }
  return keys_;
}

Record& LinesParser::Parse(const RowBatch& batch, const Row& row) {
  record_.line = row.line;
  record_.fault = Check(batch, row);
  if (record_.fault != Fault::kNone) return Bad(batch, row);
  record_.key = batch.Text(row);
  if (!record_.problem.empty()) record_.problem.clear();
  return record_;
}

Record& LinesParser::Bad(const RowBatch& batch, const Row& row) {
  record_.key = {};
  if (record_.fault == Fault::kKey) {
    record_.problem = AtLine(row) + "the line " + KeyProblem(batch.Text(row)).value_or("is no key");
  } else {
    record_.problem = ProblemOf(record_.fault, row);
  }
  return record_;
}

}  // namespace backfill::rows
