#include "operator/coordinator/plan_messages.h"

#include <string>

#include "base/utf8.h"

namespace backfill::coordinator {

Result<std::vector<rows::Extent>> ToExtents(const v1::PlanPart& part) {
  if (part.shards_size() > kMaxPlanPart)
    return Error{ErrorCode::kInvalid, "a part has too many shards"};
  std::vector<rows::Extent> extents;
  extents.reserve(static_cast<std::size_t>(part.shards_size()));
  for (const v1::FileExtent& e : part.shards()) {
    extents.push_back({.first = e.first(),
                       .records = e.records(),
                       .offset = e.offset(),
                       .bytes = e.bytes(),
                       .line = e.line(),
                       .crc32c = e.crc32c()});
  }
  return extents;
}

Result<plan::FileFacts> ToFacts(const v1::PlanEnd& end) {
  plan::FileFacts facts;
  if (end.shape().has_stored_bytes()) facts.shape.stored_bytes = end.shape().stored_bytes();
  facts.shape.columns.assign(end.shape().columns().begin(), end.shape().columns().end());
  facts.bytes = end.bytes();
  facts.duplicate_keys = end.duplicate_keys();
  facts.duplicates_exact = !end.duplicates_estimated();
  for (const v1::BadRows& bad : end.bad()) {
    if (bad.fault().size() > kMaxPlanText) return Error{ErrorCode::kInvalid, "a fault is too long"};
    facts.bad_by_fault.emplace_back(bad.fault(), bad.rows());
    // A sum that overflows is not that of the parts, which is checked later.
    facts.bad_records += bad.rows();
  }
  for (const std::string& sample : end.bad_samples()) {
    if (sample.size() > kMaxPlanText) return Error{ErrorCode::kInvalid, "a sample is too long"};
    facts.bad_samples.push_back(sample);
  }
  return facts;
}

Error ToError(const v1::PlanFailure& failure) {
  const bool for_good = failure.kind() == v1::PlanFailure::KIND_INVALID;
  std::string why(CutToBytes(failure.message(), kMaxPlanText));
  if (why.empty()) why = "its worker does not say why";
  return {for_good ? ErrorCode::kInvalid : ErrorCode::kUnavailable, std::move(why)};
}

}  // namespace backfill::coordinator
