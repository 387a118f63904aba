#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/range.h"

namespace backfill::worker {

// One unit of work as its source gave it. `fields` are in the order of Source::field_names(). One
// with a `problem` cannot be sent: it fails for good, and that is why.
struct Record {
  Position position = 0;
  std::string key;
  std::vector<std::string> fields = {};
  std::string raw = {};  // the record as its source has it, if that is JSON
  std::string problem = {};
  bool operator==(const Record&) const = default;
};

enum class Outcome { kUpdated, kUnchanged, kSkipped, kFailed };
// kTransient and kTimeout are worth another attempt, the others are not.
enum class FailureClass { kTransient, kPermanent, kTimeout, kConflict };

struct OutcomeCounts {
  std::uint64_t updated = 0, unchanged = 0, skipped = 0, failed = 0;
  [[nodiscard]] std::uint64_t total() const { return updated + unchanged + skipped + failed; }
  bool operator==(const OutcomeCounts&) const = default;
};

// What the target said of one record. `failure` and `message` count when the outcome is kFailed.
struct Verdict {
  Outcome outcome = Outcome::kUpdated;
  FailureClass failure = FailureClass::kPermanent;
  std::string message = {};
};

// How much of a request reached the target.
enum class Delivery {
  kAnswered,    // a complete reply came back (or nothing had to be sent)
  kUnanswered,  // something was written, no complete reply came: what the target did is unknown
  kNotSent,     // nothing was written
};

// What became of one request.
struct BatchResult {
  Delivery delivery = Delivery::kAnswered;
  // The target as a whole could not be reached: no reason to think that another record would fare
  // better.
  bool unreachable = false;
  // The sender was told to send nothing more, and nothing of this had been written: no attempt.
  bool withdrawn = false;
  // The target has too much to do: it says so (429, 503, 504), or did not answer in time.
  bool overloaded = false;
  // Of every record of the batch, or, if the reply spoke of single records, of those that it left
  // out.
  Verdict verdict = {};
  bool per_record = false;
  std::vector<std::pair<std::uint32_t, Verdict>> records =
      {};                                              // index in the batch; only if per_record
  std::optional<Duration> retry_after = std::nullopt;  // holds back the whole target
  Duration latency{};
};

// A record that ended as failed.
struct FailedRecord {
  Position position = 0;
  std::string key;
  FailureClass failure = FailureClass::kPermanent;
  std::uint32_t attempts = 0;
  std::string message = {};
  bool operator==(const FailedRecord&) const = default;
};

// A lease is known by shard and attempt; the epoch names the leader that it was last agreed with.
struct LeaseKey {
  ShardId shard;
  Attempt attempt;
  auto operator<=>(const LeaseKey&) const = default;
};

}  // namespace backfill::worker
