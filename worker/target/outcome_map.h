#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/engine/record.h"

namespace backfill::worker {

// What a status code says of a record: the defaults and what the user declared otherwise.
// Immutable.
class OutcomeMap {
 public:
  struct Overrides {
    std::vector<std::uint32_t> updated, unchanged, skipped, transient, conflict, permanent;
  };
  OutcomeMap() : OutcomeMap(Overrides{}) {}
  explicit OutcomeMap(const Overrides& overrides);

  // The message of a failure names the status.
  [[nodiscard]] Verdict Of(unsigned status) const;

 private:
  struct Meaning {
    Outcome outcome = Outcome::kFailed;
    FailureClass failure = FailureClass::kPermanent;
  };
  std::array<Meaning, 600> meanings_;
};

// What a reply says of single records.
struct ReplyOutcomes {
  enum class Kind {
    kNone,        // it does not speak of them
    kUnreadable,  // it does, but how it fared with them cannot be read
    kVerdicts,
  };
  Kind kind = Kind::kNone;
  std::vector<std::pair<std::uint32_t, Verdict>> verdicts = {};
};

// Reads {"outcomes": [{"key", "outcome", "class", "message"}]}. Indexes are those of `records`; a
// key that stands in it several times is meant everywhere.
ReplyOutcomes ParseOutcomes(std::string_view body, const std::vector<Record>& records);

}  // namespace backfill::worker
