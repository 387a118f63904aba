#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "operator/api/backfill.h"
#include "operator/plan/plan.h"

namespace backfill::cli {

// A request as a worker would send it.
struct RequestSample {
  std::string key;      // of its first record
  std::string request;  // method, url, headers without credentials, body; may have any byte
};

// The target's requests for the first records: up to three, or one where a request carries a batch.
// Of a file, which is read once more at its front, for the first good rows. failuresOf has been
// resolved; `plan` is that of the spec. What is known only once the backfill is stored, its uid,
// stands as kUnknownUid. kInvalid: a worker could not send them either; kConflict: the file has
// changed since it was planned; else as the file's source.
inline constexpr char kUnknownUid[] = "uid-of-the-backfill";
Result<std::vector<RequestSample>> SampleRequests(const std::string& name, const api::Spec& spec,
                                                  const plan::Plan& plan);

}  // namespace backfill::cli
