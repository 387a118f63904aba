#include "rows/lines_parser.h"

#include "rows/key_rules.h"
#include "rows/row_faults.h"

namespace backfill::rows {

KeyOrFault LinesParser::Key(const RowBatch& batch, const Row& row) {
  if (const Fault fault = FaultOf(batch, row); fault != Fault::kNone) return {.fault = fault};
  const std::string_view key = batch.Text(row);
  if (!IsKey(key)) return {.fault = Fault::kKey};
  return {.key = key};
}

Record& LinesParser::Parse(const RowBatch& batch, const Row& row) {
  const KeyOrFault key = Key(batch, row);
  record_.line = row.line;
  record_.key = key.key;
  record_.fault = key.fault;
  record_.problem.clear();
  if (key.fault == Fault::kKey) {
    record_.problem = AtLine(row) + "the line " + KeyProblem(batch.Text(row)).value_or("is no key");
  } else if (key.fault != Fault::kNone) {
    record_.problem = ProblemOf(key.fault, row);
  }
  return record_;
}

}  // namespace backfill::rows
