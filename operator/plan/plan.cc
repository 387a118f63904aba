#include "operator/plan/plan.h"

#include <string>

#include "base/digest.h"

namespace backfill::plan {

std::string PlanHash(std::string_view canonical_work, const std::vector<PlannedShard>& shards,
                     const rows::FileShape* shape) {
  // Decimal text with a length in front of the free part: no two inputs give the same bytes, on no
  // machine.
  std::string text = "backfill-plan/1\n" + std::to_string(canonical_work.size()) + "\n";
  text += canonical_work;
  text.reserve(text.size() + 48 * shards.size());
  for (const PlannedShard& s : shards) {
    text += '\n';
    text += std::to_string(s.range.begin);
    text += ' ';
    text += std::to_string(s.range.end);
    text += ' ';
    text += std::to_string(s.records);
    if (!s.extent) continue;
    for (const std::uint64_t n : {s.extent->offset, s.extent->bytes, s.extent->line,
                                  static_cast<std::uint64_t>(s.extent->crc32c)}) {
      text += ' ';
      text += std::to_string(n);
    }
  }
  if (shape != nullptr) {
    text += "\nfile ";
    text += shape->stored_bytes ? std::to_string(*shape->stored_bytes) : "-";
    for (const std::string& column : shape->columns) {
      text += '\n';
      text += std::to_string(column.size());
      text += ' ';
      text += column;
    }
  }
  return "sha256:" + Sha256Hex(text);
}

}  // namespace backfill::plan
